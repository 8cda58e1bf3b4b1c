"""The whole way in a real browser against a real server: import, predict, review, reload, a killed server, export."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from sapphire.store import open_store
from tests.chromium import installed
from tests.patience import click_until

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)  # two busy cores draw a page in seconds

ROOT = Path(__file__).parent.parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The first note is too long to be read whole, so that its hospital course is marked.
NOTES = f"""note_id,age,sex,text
stay-1,71,F,"Brief Hospital Course:
Admitted with dyspnea. Acute on chronic systolic heart failure, diuresed. <script>window.hacked = true</script> Went home well.
Discharge Disposition: Home{" with aspirin" * 300}"
stay-2,55,M,"Hospital Course: Right lower lobe pneumonia treated with ceftriaxone."
stay-3,40,M,
"""


class Server:
    """A Streamlit server in a process of its own, which can be killed and started again on the same port."""

    def __init__(self, home: Path):
        self.home = home
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)]
        self.log = (self.home / "server.log").open("a")
        environment = os.environ | {"SAPPHIRE_HOME": str(self.home)}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=self.log, stderr=self.log)
        for _ in range(300):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError((self.home / "server.log").read_text())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, smollm2):
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    (home / "models" / smollm2.name).symlink_to(smollm2)
    server = Server(home)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def page(server):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 950})
        page.set_default_timeout(30_000)
        outside: list[str] = []
        page.on(
            "request",
            lambda request: (
                None
                if server.url in request.url or request.url.startswith(("data:", "blob:"))
                else outside.append(request.url)
            ),
        )
        yield page
        browser.close()
        assert not outside, f"The app asked for {outside}"


def open_case(page: Page, row: int) -> None:
    """Click the button of a row of the worklist, which is drawn on a canvas."""
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    page.wait_for_timeout(800)

    def click() -> None:
        box = table.bounding_box()
        page.mouse.click(box["x"] + 75, box["y"] + 33 * (row + 1.5))

    click_until(click, page.locator(".sapphire-note"))


def test_a_newcomer_imports_a_file_with_a_bad_row(server, page, tmp_path):
    path = tmp_path / "stays.csv"
    path.write_text(NOTES)
    page.goto(f"{server.url}/notes")
    page.get_by_label("Name").fill("Ana Ruiz")
    page.get_by_role("button", name="Continue").click()
    page.locator("input[type=file]").set_input_files(str(path))
    page.get_by_role("button", name="Import 1 file").click()
    expect(page.get_by_text("2 notes imported from stays.csv")).to_be_visible()
    page.get_by_role("link", name="Open the worklist").click()
    expect(page.get_by_text("0 of 2 reviewed")).to_be_visible()


def test_the_note_is_text_and_the_model_writes_before_the_readers_eyes(page):
    open_case(page, 0)
    expect(page.locator(".sapphire-note .course")).to_contain_text("<script>window.hacked = true</script>")
    assert page.evaluate("window.hacked") is None
    page.get_by_role("button", name="Predict this case").click()
    expect(page.get_by_text("smollm2-135m-untuned is")).to_be_visible()
    expect(page.get_by_text("the right DRG?")).to_be_visible(timeout=120_000)


def test_typing_is_kept_while_it_is_typed_and_letters_are_no_shortcuts(server, page):
    expect(page.get_by_role("button", name="Wrong")).to_be_enabled()
    expect(page.get_by_test_id("stStatusWidget")).to_be_hidden()
    page.wait_for_timeout(500)
    page.keyboard.press("n")
    expect(page.get_by_text("The right DRG", exact=True)).to_be_visible()
    area = page.get_by_label("Comment")
    area.click()
    area.press_sequentially("Yes, not sure: fluid status?", delay=15)
    expect(page.locator(".sapphire-box", has=area).locator(".kept")).to_have_text("draft kept")
    page.reload()
    expect(page.get_by_label("Comment")).to_have_value("Yes, not sure: fluid status?")
    expect(page.get_by_text("The right DRG", exact=True)).to_be_visible()


def kept(page: Page, text: str) -> None:
    """Wait until the comment is stored with this text."""
    area = page.get_by_label("Comment")
    expect(area).to_have_value(text)
    expect(page.locator(".sapphire-box", has=area).locator(".kept")).to_have_text("draft kept")


def test_words_typed_the_moment_before_leaving_arrive(server, page):
    address = page.url
    page.get_by_label("Comment").click()
    page.keyboard.press("End")
    page.keyboard.type(" Left.")
    page.get_by_role("link", name="Export").click()
    expect(page.get_by_text("There are no saved reviews or votes yet.")).to_be_visible()
    page.goto(address)
    kept(page, "Yes, not sure: fluid status? Left.")


def test_the_browser_asks_before_words_on_their_way_are_left_behind(server, page):
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.get_by_label("Comment").click()
    page.keyboard.press("End")
    page.keyboard.type(" Stay.")
    page.evaluate("setTimeout(() => location.reload(), 0)")
    kept(page, "Yes, not sure: fluid status? Left. Stay.")
    assert asked == ["beforeunload"]
    page.get_by_label("Comment").fill("Yes, not sure: fluid status?")
    kept(page, "Yes, not sure: fluid status?")


def test_undo_takes_the_words_back_and_a_killed_server_keeps_what_was_kept(server, page):
    page.get_by_label("Comment").fill("Second version")
    kept(page, "Second version")
    page.locator(".st-key-undo button").first.click()
    expect(page.get_by_label("Comment")).to_have_value("Yes, not sure: fluid status?")
    server.kill()
    server.start()
    page.reload()
    expect(page.get_by_label("Comment")).to_have_value("Yes, not sure: fluid status?")


def test_the_right_drg_is_found_by_its_abbreviation_and_the_review_saved_by_keyboard(server, page):
    chooser = page.get_by_label("The right DRG")
    chooser.click()
    chooser.press_sequentially("chf")
    page.get_by_role("option").filter(has_text="291 · Heart Failure and Shock with MCC").click()
    expect(chooser).to_have_value(re.compile("^291 ·"))
    page.get_by_role("heading", name="Your review").click()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("No prediction yet")).to_be_visible()
    page.get_by_role("button", name="Worklist").click()
    expect(page.get_by_text("1 of 2 reviewed")).to_be_visible()


def test_a_run_over_the_rest_shows_its_progress_and_the_round_is_exported(server, page):
    page.get_by_role("button", name="Run the model on all 1 pending").click()
    expect(page.get_by_text("of 1")).to_be_visible()
    expect(page.get_by_text("Predicted · 1")).to_be_visible(timeout=120_000)
    page.get_by_role("link", name="Export").click()
    page.get_by_text("With training rows").click()
    expect(page.get_by_text("This round will contain note text.")).to_be_visible()
    page.get_by_role("button", name="Export this round").click()
    expect(page.get_by_text("Round 1 ·")).to_be_visible()
    labels = (server.home / "exports" / "round-0001" / "labels.jsonl").read_text()
    assert json.loads(labels)["drg"] == "291"


def test_a_server_that_is_not_there_is_added_checked_and_withdrawn(page):
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Add a model").click()
    page.get_by_text("Behind a server").click()
    expect(page.get_by_role("textbox", name="Its name there")).to_be_visible()
    expect(page.get_by_role("textbox", name="Folder, GGUF file or hub name")).to_have_count(0)  # and with it its "Name"
    page.get_by_role("textbox", name="Address").fill("http://127.0.0.1:9/v1")
    page.get_by_role("button", name="Add and check").click()
    expect(page.get_by_text("A server needs an address and a name.")).to_be_visible()
    page.get_by_role("textbox", name="Name", exact=True).fill("nobody")
    page.get_by_role("button", name="Add and check").click()
    expect(page.get_by_text("The server 127.0.0.1 does not answer")).to_be_visible()
    expect(page.get_by_text("Not usable before its check passes")).to_be_visible()
    page.locator(".st-key-model_nobody").get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("1 withdrawn")).to_be_visible()


def test_a_command_works_beside_the_running_app(server, tmp_path):
    path = tmp_path / "late.txt"
    path.write_text("Hospital Course: Cellulitis of the left leg, treated with cefazolin, discharged home.")
    environment = os.environ | {"SAPPHIRE_HOME": str(server.home)}
    done = subprocess.run(
        [sys.executable, "-m", "sapphire.cli", "import", str(path)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 notes imported")


def test_nothing_of_a_note_is_in_the_log_and_the_files_are_private(server):
    server.kill()
    log = (server.home / "server.log").read_text()
    assert "dyspnea" not in log
    assert "fluid status" not in log
    store = open_store(server.home / "sapphire.duckdb")
    assert store.read("SELECT count(*) AS n FROM current_note") == [{"n": 3}]
    store.close()
    for path in (server.home / "sapphire.duckdb", *(server.home / "exports").rglob("*.jsonl")):
        assert path.stat().st_mode & 0o077 == 0
    server.start()
