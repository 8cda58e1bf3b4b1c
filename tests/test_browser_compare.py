"""Comparing and voting in a real browser: by link and keyboard, live, and with nothing on the page that tells whose answer it is."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright

from sapphire.profiles import Profile, save_profile
from sapphire.store import open_store
from tests.chromium import installed
from tests.stays import stored_note
from tests.test_browser import FLAGS, Server
from tests.test_comparing import said

pytestmark = pytest.mark.browser
FIRST = '- principal diagnosis "heart failure": acute systolic heart failure (I50.21)\n- "AKI": acute kidney injury (N17.9), CC, counts'
OTHER = '- principal diagnosis "heart failure": <b>acute</b> diastolic heart failure (I50.31)'
SECRETS = ("model-", "aaaaaaaa", "bbbbbbbb", "88%", "54.3", "tokens/s")


@pytest.fixture(scope="module")
def server(tmp_path_factory, smollm2):
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    (home / "models" / smollm2.name).symlink_to(smollm2)
    store = open_store(home / "sapphire.duckdb")
    save_profile(store, Profile("Ana", "coder"))
    store.append("note", [stored_note(f"n{i}", drg="291") for i in range(3)])
    measured = {"confidence": 0.876, "seconds": 54.3, "tokens": 100}
    answers = [said(f"n{i}", "aaaaaaaa-1", "291", think=FIRST, **measured) for i in range(3)]
    answers += [
        said(f"n{i}", "bbbbbbbb-2", drg, think=OTHER, **measured) for i, drg in enumerate(("291", "291", "292"))
    ]
    store.append("prediction", answers)
    store.close()
    server = Server(home)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def page(server):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 950})
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def quiet(page) -> None:
    """Wait until the page is drawn, so that a key meets its button."""
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(page.get_by_test_id("stStatusWidget")).to_be_hidden()
    page.wait_for_timeout(400)


def test_a_link_opens_two_runs_and_a_key_leads_to_where_they_differ(server, page):
    page.goto(f"{server.url}/compare?runs=aaaaaaaa,bbbbbbbb&reader=Ana")
    expect(page.get_by_text("1 of 3")).to_be_visible()
    quiet(page)
    page.keyboard.press("d")
    expect(page.get_by_text("3 of 3")).to_be_visible()
    expect(page.get_by_text("right base DRG")).to_be_visible()
    expect(page).to_have_url(re.compile("case=4"))


def test_differing_words_are_marked_and_a_models_words_are_text(page):
    table = page.locator(".sapphire-aligned")
    marks = table.locator("mark").all_inner_texts()
    assert "systolic" in " ".join(marks)
    assert "heart failure" not in marks
    expect(table).to_contain_text("<b>acute</b>")
    expect(table.locator(".alone")).to_have_count(1)


def test_two_models_write_before_the_readers_eyes_and_can_be_stopped(page):
    page.get_by_role("button", name="Ask live").click()
    page.get_by_role("button", name="Ask both").click()
    expect(page.get_by_text("waits for its turn")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("3 of 3")).to_be_visible(timeout=60_000)


def test_nothing_in_the_page_tells_whose_answer_it_is_until_the_vote(server, page):
    page.goto(f"{server.url}/votes?reader=Ana")
    page.get_by_role("button", name="Open the ballot").click()
    expect(page.get_by_role("button", name="A is better")).to_be_visible()
    quiet(page)
    assert [secret for secret in SECRETS if secret in page.content()] == []
    page.keyboard.press("2")
    expect(page.get_by_role("button", name="Vote and reveal")).to_be_enabled()
    page.get_by_label("Comment").press_sequentially("Not the number 1 choice", delay=15)
    expect(page.locator(".sapphire-box .kept")).to_have_text("draft kept")
    assert [secret for secret in SECRETS if secret in page.content()] == []
    page.get_by_text("What decided").click()
    page.keyboard.press("v")
    expect(page.get_by_text("Your vote: B is better")).to_be_visible()
    expect(page.get_by_text(re.compile("^visibility ?model-(aaaaaaaa|bbbbbbbb)"))).to_have_count(2)
    quiet(page)
    page.keyboard.press("n")
    expect(page.get_by_text("1 vote of yours")).to_be_visible()
    expect(page.get_by_role("button", name="A is better")).to_be_visible()
    expect(page.get_by_text("Your vote: B is better")).to_have_count(0)  # a slow browser still shows the pair before
    quiet(page)
    assert [secret for secret in SECRETS if secret in page.content()] == []


def test_the_results_are_drawn_with_their_plots(page):
    page.get_by_text("Results", exact=True).click()
    expect(page.get_by_text("Preferred in blind votes, with 95% intervals")).to_be_visible()
    expect(page.get_by_text("0 of 1 decided votes went to side A, exact binomial p = 1.000")).to_be_visible()
