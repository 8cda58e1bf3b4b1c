"""Adding a model: a folder or hub name, or a server, which is checked at once and used only when the check has passed."""

import streamlit as st

from pages.parts.model_choice import models
from pages.parts.plain import plain
from sapphire import registry
from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS
from sapphire.engines import EngineError, ModelCard, addresses
from sapphire.profiles import ENTERS_SERVERS, Profile
from sapphire.prompts import PROMPTS
from sapphire.store import StoreError
from sapphire.workbench import Workbench


def add_model(bench: Workbench, reader: Profile) -> None:
    if st.button("Add a model", icon=":material/add:", type="primary"):
        _add(bench, reader)


@st.dialog("Add a model", width="medium")
def _add(bench: Workbench, reader: Profile) -> None:
    kind = st.segmented_control(
        "Where it is", ["On this machine or the hub", "Behind a server"], default="On this machine or the hub", key="add_kind", required=True
    )  # fmt: skip
    (_local if kind == "On this machine or the hub" else _server)(bench, reader)


def _local(bench: Workbench, reader: Profile) -> None:
    place = st.text_input(
        "Folder, GGUF file or hub name",
        key="add_place",
        placeholder="/models/my-model  or  owner/name",
        help="A model folder, a folder of transformers or of a LoRA adapter, a GGUF file, or owner/name on the Hugging Face hub, which is "
        "fetched when it is checked.",
    )
    name = st.text_input(
        "Name", key="add_name", placeholder="As its answers shall be marked; empty: the folder's", max_chars=80
    )
    prompt, version = _prompt_and_version()
    st.caption("A folder with a model.json of its own keeps what stands there.")
    if _submit():
        if not place.strip():
            st.error("Name a folder, a file or a hub name.")
            return
        _finish(
            bench, reader, lambda: registry.add_local(bench.store, reader.name, place.strip(), name, prompt, version)
        )


def _server(bench: Workbench, reader: Profile) -> None:
    url = st.text_input(
        "Address",
        key="add_url",
        placeholder="http://localhost:8000/v1",
        help="Any server that speaks OpenAI's protocol: vLLM, llama-server, Ollama, Azure and others. It usually ends in /v1.",
    )
    left, right = st.columns(2)
    name = left.text_input("Name", key="add_server_name", placeholder="As its answers shall be marked", max_chars=80)
    served = right.text_input("Its name there", key="add_served", placeholder="Empty: the only one")
    key = st.text_input(
        "Variable that holds the key",
        key="add_key",
        placeholder="None, or for example AZURE_OPENAI_API_KEY",
        help="The key itself is never typed here nor stored: set this variable in the environment of the app, or in .streamlit/secrets.toml.",
    )
    prompt, version = _prompt_and_version()
    elsewhere = _elsewhere(url)
    purpose, agreement = _terms(elsewhere, reader) if elsewhere else ("", False)
    if _submit(disabled=bool(elsewhere and reader.role not in ENTERS_SERVERS)):
        if not url.strip() or not name.strip():
            st.error("A server needs an address and a name.")
            return
        _finish(
            bench,
            reader,
            lambda: registry.add_server(
                bench.store, reader, url.strip(), name, served, key.strip(), prompt, version, purpose, agreement
            ),
        )


def _elsewhere(url: str) -> str:
    """The host of a server that is not this machine, or ""."""
    try:
        host = addresses.host(url.strip())
    except EngineError:
        return ""
    return "" if addresses.is_loopback(host) else host


def _terms(host: str, reader: Profile) -> tuple[str, bool]:
    """What an administrator says of a server elsewhere; others are told that they cannot add it."""
    if reader.role not in ENTERS_SERVERS:
        st.warning(
            f"{plain(host)} is not this machine: note text would leave it. Only an administrator can add it.",
            icon=":material/admin_panel_settings:",
        )
        return "", False
    st.warning(
        f"Notes that this model answers leave this machine and go to {plain(host)}. Its answers carry that name everywhere.",
        icon=":material/public:",
    )
    purpose = st.text_input("Purpose", key="add_purpose", placeholder="Why notes go there; stored with your name")
    agreement = st.checkbox(
        "I assert that the data-use agreement allows credentialed notes (MIMIC and others) to be sent there",
        key="add_agreement",
        help="Without this, credentialed notes are refused and all others are answered.",
    )
    return purpose, agreement


def _prompt_and_version() -> tuple[str, str]:
    left, right = st.columns(2)
    prompt = left.selectbox(
        "Prompt",
        PROMPTS,
        key="add_prompt",
        help="Plain: the note alone, as in the paper. Grounded: with what the condition index finds in it and the grouper's candidates.",
    )
    versions = sorted(VERSIONS, key=float, reverse=True)
    version = right.selectbox("MS-DRG version", versions, index=versions.index(DEFAULT_VERSION), key="add_version")
    return prompt, version


def _submit(disabled: bool = False) -> bool:
    """Not disabled while a field is empty: the click itself is what tells the app of the field just typed in."""
    return st.button(
        "Add and check",
        type="primary",
        icon=":material/fact_check:",
        disabled=disabled,
        key="add_submit",
        width="stretch",
    )


def _finish(bench: Workbench, reader: Profile, add) -> None:
    try:
        card: ModelCard = add()
    except (EngineError, PermissionError, ValueError, StoreError) as error:
        st.error(plain(str(error)))
        return
    bench.hosting.check(card, reader.name)
    models.clear()
    st.rerun()
