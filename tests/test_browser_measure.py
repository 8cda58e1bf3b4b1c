"""The measuring pages in a real browser: plots drawn, their rows and the report saved, and the way from an error to its case."""

import csv
import re

import pytest
from playwright.sync_api import expect, sync_playwright

from sapphire.profiles import Profile, save_profile
from sapphire.store import open_store
from tests.chromium import installed
from tests.patience import click_until
from tests.stays import NOTE, stored_note, stored_prediction
from tests.test_browser import FLAGS, Server
from tests.test_reader_study import event, saved

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    store = open_store(home / "sapphire.duckdb")
    save_profile(store, Profile("ana", "physician"))
    store.append("note", [stored_note(f"n{i}", drg="291", drg_version="43.1") for i in range(4)])
    answers = {"first": ("291", "292", "193", "292"), "second": ("291", "291", "291", "292")}
    store.append(
        "prediction",
        [
            stored_prediction(f"n{i}", prediction_id=f"{run}-{i}", run_id=run, model=f"model {run}", drg=drg, format=0.0, cot_first=0.0)
            for run, drgs in answers.items() for i, drg in enumerate(drgs)
        ],
    )  # fmt: skip
    form = {"helpfulness": 4, "accuracy": 3, "prediction_id": "first-2"}
    store.append(
        "review_event",
        [event("opened", 0, "n2", prediction_id="first-2"), saved("n2", "ana", 3, **form), saved("n2", "ben", **form)],
    )
    store.close()
    server = Server(home)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def page(server):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_figures_are_drawn_and_their_rows_and_report_are_saved(server, page, tmp_path):
    page.goto(f"{server.url}/evaluation")  # the first visit of a new server
    assert page.get_by_test_id("stSidebar").bounding_box()["width"] == 220
    chooser = page.locator("[data-testid=stMultiSelect] input").first
    chooser.click()
    page.get_by_role("option").filter(has_text="model first").click()
    page.keyboard.press("Escape")
    expect(page.get_by_text("answered by every chosen run")).to_be_visible()
    expect(page.locator(".js-plotly-plot .legendtext").filter(has_text="model first")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Rows").first.click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert {(row["run"], row["target"]): float(row["estimate"]) for row in rows}["model first", "Base DRG"] == 0.75
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    report = tmp_path / "report.html"
    report.write_bytes(download.value.path().read_bytes())
    asked = []
    offline = page.context.browser.new_page()
    offline.on("request", lambda request: asked.append(request.url))
    offline.goto(report.as_uri())
    expect(offline.locator(".js-plotly-plot").first).to_be_visible()
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert NOTE[30:60] not in report.read_text() and "weight" not in offline.locator("body").inner_text()
    offline.close()


def test_a_confusion_leads_to_its_case_as_this_run_answered_it(server, page):
    page.get_by_role("tab", name="Errors").click()
    page.get_by_test_id("stButtonGroup").last.get_by_text("model first", exact=True).click()
    expect(page.get_by_text("The largest first. Tick one to see its cases.")).to_have_count(2)
    expect(page.get_by_test_id("stDataFrame")).to_have_count(2)  # severities, base DRGs
    tables = page.get_by_test_id("stDataFrame")
    click_until(lambda: tables.nth(1).click(position={"x": 20, "y": 54}), tables.nth(2))
    click_until(lambda: tables.nth(2).click(position={"x": 42, "y": 54}), page.get_by_text("193 ·"))
    expect(page).to_have_url(re.compile(r"/review\?.*case=\d"))


def test_the_reader_study_draws_ratings_and_agreement(server, page):
    page.goto(f"{server.url}/reader_study")
    expect(page.locator(".js-plotly-plot .legend").first).to_be_visible()
    page.get_by_role("tab", name="Agreement").click()
    expect(page.get_by_text("Agreement between readers: Krippendorff's alpha")).to_be_visible()
