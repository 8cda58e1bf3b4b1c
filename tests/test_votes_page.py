"""The page of blind votes by Streamlit's own test driver: empty states, a vote, what is hidden, withdrawing, results."""

from tests.stays import stored_note
from tests.test_comparing import said
from tests.test_pages import app, button, fill, home, stored, words  # noqa: F401

NOTES = [stored_note(f"n{i}", drg="291") for i in range(3)]
ANSWERS = [
    said(f"n{i}", run, drg, think=f"Reasoning {drg}.", confidence=0.876, seconds=54.3, tokens=100)
    for i in range(3)
    for run, drg in (("aaaaaaaa", "291"), ("bbbbbbbb", "292"))
]
SECRETS = ("model", "aaaaaaaa", "bbbbbbbb", "88%", "54.3", "tokens/s")


def opened(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=ANSWERS)
    at = app("votes")
    button(at, "Open the ballot").click().run()
    assert not at.exception
    return at


def everything(block) -> str:
    """All that this run of the page hands to the browser below a block, widgets and components included."""
    return "\n".join(
        everything(child) if hasattr(child, "children") else str(child.proto) for child in block.children.values()
    )


def test_without_two_runs_the_page_leads_to_the_compare_page(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=ANSWERS[::2])
    assert "there is only one so far" in words(app("votes"))


def test_a_vote_is_blind_until_it_is_given(home):  # noqa: F811
    at = opened(home)
    blind = everything(at.main)
    for secret in SECRETS:
        assert secret not in blind
    assert button(at, "Vote, next").disabled
    button(at, "A is better").click().run()
    for secret in SECRETS:
        assert secret not in everything(at.main)
    button(at, "Vote and reveal").click().run()
    assert not at.exception
    assert "model\\-aaaaaaaa" in words(at)
    assert "aaaaaaaa" in everything(at.main)  # so that the search above would have found it
    assert "confidence 88% · 54.3 s · 2 tokens/s" in words(at)
    assert "Recorded DRG: **291**" in words(at)
    button(at, "Next pair").click().run()
    assert "**1 vote** of yours" in words(at)
    assert "model" not in everything(at.main)
    assert stored(home, "SELECT verdict FROM current_pair WHERE state = 'voted'") == [{"verdict": "left"}]


def test_a_vote_is_changed_before_and_withdrawn_after_it_is_given(home):  # noqa: F811
    at = opened(home)
    button(at, "Tie").click().run()
    button(at, "Both bad").click().run()
    at.button_group[1].set_value(["severity"]).run()
    button(at, "Vote, next").click().run()
    voted = stored(home, "SELECT verdict, reasons FROM current_pair WHERE state = 'voted'")
    assert voted == [{"verdict": "both bad", "reasons": ["severity"]}]
    button(at, "Withdraw last vote").click().run()
    assert stored(home, "SELECT verdict FROM current_pair WHERE state = 'voted'") == []
    assert "**0 votes** of yours" in words(at)


def test_when_all_pairs_are_judged_the_results_say_what_they_can(home):  # noqa: F811
    at = opened(home)
    button(at, "Skip").click().run()
    for _ in range(2):
        button(at, "A is better").click().run()
        button(at, "Vote, next").click().run()
    assert "judged every pair" in words(at)
    at.button_group(key="vote_view").set_value("results").run()
    assert not at.exception
    assert {metric.label: metric.value for metric in at.metric}["Pairs"] == "2"
    assert "do not tell" in words(at)
    assert "2 of 2 decided votes went to side A" in words(at)
    assert "No pair was shown twice yet" in words(at)


def test_a_closed_ballot_takes_no_votes(home):  # noqa: F811
    at = opened(home)
    at.button_group(key="vote_view").set_value("ballots").run()
    button(at, "Close").click().run()
    at.button_group(key="vote_view").set_value("vote").run()
    assert "This ballot is closed." in words(at)
    assert not [each for each in at.button if each.label == "A is better"]
