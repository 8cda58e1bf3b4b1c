"""The embedded engine: llama.cpp through `xllamacpp`, on the CPU, without torch.

xllamacpp starts llama.cpp's HTTP server inside this process and cannot leave it out. It is made to listen on a Unix socket
in a folder of mode 700, and the socket is deleted as soon as it listens: nobody, this user included, can connect to it, no
TCP port is opened, and requests go in by function call only. llama.cpp writes nothing to the console (verbosity -1).
"""

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from sapphire.engines import EngineError, Sampling
from sapphire.engines.backend import Part, Token, Watch
from sapphire.engines.chat import render
from sapphire.engines.gguf_header import read_header
from sapphire.engines.model_folder import Model
from sapphire.engines.titles import readable

CONTEXT = 8192  # tokens; SmolLM2's own limit, where its cache takes 190 MB
BATCH = 128  # prompt tokens at a time: a cancel is heard after each batch, half a second on two cores
NORMAL = 1  # token type of ordinary text in GGUF
CERTAIN = 200.0  # added to the logits of allowed tokens: e^-200 of a chance is left for the others


class LlamaCpp:
    """See `decoding.Backend`. A context is the rendered prompt, then token ids and forced text."""

    def __init__(self, model: Model):
        header = read_header(model.weights)
        self._name = model.card.name
        self._template = header.get("tokenizer.chat_template")
        if not self._template:
            raise EngineError(f"{model.weights} has no chat template; convert the model again with its tokenizer.")
        tokens = header["tokenizer.ggml.tokens"]
        kinds = header.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
        self.vocabulary = readable((i, raw) for i, raw in enumerate(tokens) if kinds[i] == NORMAL)
        self._bos, self._eos = (
            tokens[header[key]] if key in header else ""
            for key in ("tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id")
        )
        spm = header.get("tokenizer.ggml.model") == "llama"
        self._adds_bos = header.get("tokenizer.ggml.add_bos_token", spm)
        trained = header.get(f"{header.get('general.architecture')}.context_length", CONTEXT)
        self._context = min(CONTEXT, trained)
        self._room, self._fresh = 0, True
        self._server = _start(model.weights, self._context)

    def prompt(self, messages: list[dict[str, str]], room: int, fresh: bool) -> tuple[list[Part], str]:
        """The tokens are counted when the model reads them, in `write` or `odds`."""
        self._room, self._fresh = room, fresh
        rendered, begun = render(self._template, messages, self._bos, self._eos)
        # Where llama.cpp puts the first token by itself, the template's would be a second one.
        return [rendered.removeprefix(self._bos) if self._adds_bos else rendered], begun

    def encode(self, text: str) -> list[Part]:
        return [text]

    def write(
        self,
        context: Sequence[Part],
        limit: int,
        sampling: Sampling,
        seed: int,
        accept: Callable[[Token], bool],
        watch: Watch,
    ) -> None:
        def take(chunk: dict[str, Any]) -> bool:
            choice = chunk["choices"][0]
            return bool(choice["text"]) and not accept(_token(choice))

        # Temperature before top-p, as vLLM and transformers do.
        how = {"samplers": ["temperature", "top_p"], "temperature": sampling.temperature, "top_p": sampling.top_p}
        self._ask(context, how | {"seed": seed, "max_tokens": limit, "n_probs": 1}, take, watch)

    def odds(self, context: Sequence[Part], allowed: Collection[int], watch: Watch) -> dict[int, float]:
        found: dict[int, float] = {}

        def take(chunk: dict[str, Any]) -> bool:
            for entry in (chunk["choices"][0]["logprobs"] or {"content": []})["content"]:
                found.update((each["id"], each["prob"]) for each in entry["top_probs"])
            return bool(found)

        how = {"samplers": ["temperature"], "temperature": 1.0, "max_tokens": 1, "n_probs": len(allowed)}
        self._ask(context, how | {"logit_bias": [[token, CERTAIN] for token in allowed]}, take, watch)
        total = sum(found.get(token, 0.0) for token in allowed)
        return {token: found.get(token, 0.0) / total for token in allowed}

    def close(self) -> None:
        self._server = None

    def _ask(
        self, context: Sequence[Part], how: dict[str, Any], take: Callable[[dict[str, Any]], bool], watch: Watch
    ) -> None:
        """One request to llama.cpp; each chunk of its answer goes to `take`, which returns True to stop it."""
        failure: list[Exception] = []

        def receive(chunk: dict[str, Any]) -> bool:
            # What is raised here would be swallowed by xllamacpp.
            try:
                watch.check()
                self._check(chunk)
                return take(chunk)
            except Exception as error:
                failure.append(error)
                return True

        fixed = {"stream": True, "return_progress": True, "post_sampling_probs": True, "cache_prompt": not self._fresh}
        self._fresh = False
        self._server.handle_completions({"prompt": _joined(context)} | fixed | how, receive)
        if failure:
            raise failure[0]

    def _check(self, chunk: dict[str, Any]) -> None:
        error = chunk.get("error")
        progress = chunk.get("prompt_progress")
        if error and error.get("type") != "exceed_context_size_error":
            raise EngineError(f"llama.cpp refused the request ({error.get('message')}); choose another model.")
        needed = error["n_prompt_tokens"] if error else progress["total"] if progress else 0
        if needed + self._room > self._context:
            raise EngineError(
                f"The note takes {needed:,} tokens with its prompt and the answer up to {self._room:,}, but "
                f"{self._name} holds {self._context:,}; shorten the note or choose a model with a longer context."
            )


def _joined(context: Sequence[Part]) -> list[Part] | str:
    """The context with neighbouring texts made one, as llama.cpp would take a list of nothing but texts for several prompts
    and as tags that stand together are read together."""
    parts: list[Part] = []
    for part in context:
        if parts and isinstance(part, str) and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return parts if len(parts) > 1 else str(parts[0])


def _token(choice: dict[str, Any]) -> Token:
    """The text that came, with its token's id; as text alone where a character took several tokens, of which llama.cpp
    reports only the last."""
    content = (choice["logprobs"] or {"content": []})["content"]
    whole = len(content) == 1 and bytes(content[0]["bytes"]) == choice["text"].encode()
    return Token(choice["text"], (content[0]["id"],) if whole else (choice["text"],))


def _start(weights: str, context: int) -> Any:
    xllamacpp = _library()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(weights).absolute())
    params.n_ctx, params.n_parallel = context, 1
    params.n_batch = params.n_ubatch = BATCH
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    # While decoding, threads wait for each other hundreds of times a token. With every core taken, 75 tokens/s fell to 3 as
    # soon as the app's other threads ran; with one core left to them they stay.
    params.cpuparams.n_threads = max(1, min(4, cores - 1))
    params.cpuparams_batch.n_threads = min(8, cores)
    params.cache_ram_mib = 0  # would keep up to 8 GiB of former prompts
    params.verbosity = -1
    params.endpoint_slots = params.ui = params.warmup = False
    with tempfile.TemporaryDirectory(prefix="sapphire-") as folder:
        params.hostnames = [str(Path(folder, "llama.sock"))]
        try:
            server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise EngineError(
                f"llama.cpp cannot load {weights}: the file is damaged, incomplete or of an unknown architecture; "
                "fetch it again."
            ) from error
    # A server that is closed before its loop has begun never ends; once it has answered, the loop runs.
    server.handle_completions({"prompt": "warm", "max_tokens": 1})
    return server


def _library() -> Any:
    """xllamacpp, with OpenMP told while it loads to let waiting threads sleep soon instead of taking the cores from others
    (reading a prompt took twice as long beside three busy processes). Programs that we start do not inherit the setting."""
    given = os.environ.get("GOMP_SPINCOUNT")
    os.environ["GOMP_SPINCOUNT"] = given or "1000"
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineError("The package xllamacpp is not installed; run `make setup`.") from error
    finally:
        if given is None:
            del os.environ["GOMP_SPINCOUNT"]
    return xllamacpp
