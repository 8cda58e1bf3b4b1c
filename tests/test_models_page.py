"""The Models page by Streamlit's own test driver, and once in a real browser: what it shows, adds, checks and withdraws."""

import time

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.session import open_bench
from sapphire import registry
from tests.stays import stored_note, stored_prediction
from tests.test_pages import app, button, fill, home, stored, words  # noqa: F401  (home is a fixture)


def test_the_embedded_model_stands_there_with_its_card_and_how_right_it_was(home, smollm2):  # noqa: F811
    notes = [stored_note(f"n{i}", drg="292" if i else "291", drg_version="43.1") for i in range(4)]
    fill(home, notes=notes, predictions=[stored_prediction(f"n{i}", model=smollm2.name) for i in range(4)])
    at = app("models")
    shown = words(at)
    assert smollm2.name in [each.value.replace("\\", "") for each in at.subheader]
    assert "never saw this task" in shown and "MS-DRG v43.1" in shown and "Not checked yet" in shown
    assert [(each.label, each.value) for each in at.metric] == [
        ("DRG", "75%"),
        ("Base DRG", "100%"),
        ("Severity", "75%"),
    ]
    assert "Pass@1 on 4 labelled" in shown


def test_without_a_model_it_says_how_to_get_one(home, smollm2):  # noqa: F811
    (home / "models" / smollm2.name).unlink()
    fill(home)
    assert "There is no model yet" in words(app("models"))


def test_withdrawing_and_restoring(home, smollm2):  # noqa: F811
    fill(home)
    at = app("models")
    button(at, "Withdraw").click().run()
    assert "There is no model yet" in words(at)
    assert stored(home, "SELECT kind, author FROM model_event ORDER BY seq")[-1] == {
        "kind": "withdrawn",
        "author": "Ana",
    }
    button(at, "Restore").click().run()
    assert "There is no model yet" not in words(at) and not button(at, "Check").disabled


def form(role: str) -> None:
    """The dialog's content by itself: the driver draws the whole page anew after each input, which closes a dialog."""
    from pages.parts import model_form, session
    from sapphire import profiles

    model_form._server(session.open_bench(), profiles.Profile("Ana", role))


def filled(role: str, url: str, name: str) -> AppTest:
    at = AppTest.from_function(form, args=(role,), default_timeout=30).run()
    at.text_input(key="add_url").input(url)
    at.text_input(key="add_server_name").input(name)
    return at.run()


@pytest.mark.parametrize(("role", "may"), [("coder", False), ("physician", False), ("admin", True)])
def test_only_an_administrator_adds_a_server_elsewhere(home, role, may):  # noqa: F811
    fill(home)
    at = filled(role, "https://drg.example.com/v1", "big")
    assert button(at, "Add and check").disabled is not may
    assert ("Only an administrator" in words(at)) is not may
    if may:
        button(at, "Add and check").click().run()
        assert "Say for what purpose" in words(at)
        at.text_input(key="add_purpose").input("a trial").run()
        button(at, "Add and check").click().run()
        assert stored(home, "SELECT name, purpose, agreement FROM model_event WHERE kind = 'added'") == [
            {"name": "big @ drg.example.com", "purpose": "a trial", "agreement": False}
        ]


def test_a_dead_server_is_added_and_not_offered_and_says_why(home):  # noqa: F811
    fill(home, notes=[stored_note()])
    at = filled("coder", "http://127.0.0.1:9/v1", "dead")
    button(at, "Add and check").click().run()
    assert not at.exception
    at, end = app("models"), time.monotonic() + 60
    while "does not answer" not in words(at) and time.monotonic() < end:
        time.sleep(0.5)
        at.run()
    assert "does not answer" in words(at) and "not offered until a check passes" in words(at)
    assert "dead" not in [card.name for card in registry.usable(open_bench().store)]
