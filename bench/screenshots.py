"""The nine pictures of the README, taken anew: `python -m bench.screenshots [--out docs/screenshots] [--notes 24]`.

In a temporary home the installed default model and the baseline `conditions` answer the first of the fictional demo notes
(`bench/demo_home.py`, which also makes up the readers); then a server is started and headless Chromium goes from page to page.
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.demo_home import ANA, Scene, fill
from data.demo import cases
from sapphire.paths import models_dir

SIZE = {"width": 1440, "height": 900}


def shoot(scene: Scene, home: Path, out: Path) -> None:
    """All pictures by one browser at one server."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import installed
    from tests.test_browser import FLAGS, Server

    server = Server(home)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            page.set_default_timeout(120_000)
            for name, (address, act) in pages(scene, home).items():
                page.goto(f"{server.url}/{address}{'&' if '?' in address else '?'}reader={ANA.name}")
                still(page)
                act(page)
                still(page)
                keep(page, out / f"{name}.png")
            browser.close()
    finally:
        server.kill()


def pages(scene: Scene, home: Path) -> dict[str, tuple[str, Callable]]:
    """name → address and what is done there before the picture."""
    runs = ",".join(run[:8] for run in scene.runs)
    return {
        "review": (f"review?case={scene.review}", nothing),
        "reward": (f"review?case={scene.reward}", lambda page: page.get_by_role("tab", name="Reward").click()),
        "worklist": ("", nothing),
        "import": ("notes", lambda page: choose_file(page, home)),
        "export": ("export", lambda page: page.get_by_text("With training rows").click()),
        "compare": (f"compare?runs={runs}&case={scene.compare}", nothing),
        "votes": ("votes", nothing),
        "evaluation": ("evaluation", choose_both),
        "reader_study": ("reader_study", both_ratings),
    }


def nothing(page) -> None:
    pass


def choose_file(page, home: Path) -> None:
    """A table of some of the demo notes under other names, with its columns opened."""
    path = home / "discharges.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("note_no", "age", "sex", "summary", "drg"))
        table.writerows((f"stay-{i}", c["age"], c["sex"], c["text"], c["drg"]) for i, c in enumerate(cases()[-5:], 1))
    page.locator("input[type=file]").set_input_files(str(path))
    page.get_by_text(f"{path.name} · csv").click()


def choose_both(page) -> None:
    chooser = page.locator("[data-testid=stMultiSelect] input").first
    chooser.click()
    page.get_by_role("option").filter(has_text="baseline").click()
    page.keyboard.press("Escape")
    page.get_by_text("answered by every chosen run").wait_for()
    page.get_by_text("Published figures", exact=True).click()


def both_ratings(page) -> None:
    """One bar a reader, and both plots in the window: the title is scrolled out."""
    page.get_by_test_id("stButtonGroup").get_by_text("Reader", exact=True).click()
    still(page)
    page.get_by_test_id("stMetric").first.evaluate(
        "box => box.closest('[data-testid=stMain]').scrollBy(0, box.getBoundingClientRect().top - 14)"
    )


def still(page) -> None:
    """Wait until nothing runs, nothing is a grey shape or stale any more, and every plot is drawn; then take the pointer away."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_function(
        """() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner], [data-testid=stStatusWidget], [data-stale=true]')
            && [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(plot => plot.querySelector('.main-svg'))"""
    )
    if page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count():
        raise SystemExit(f"{page.url} shows an error; no picture of it is taken.")
    page.evaluate("document.activeElement?.blur()")
    page.mouse.move(SIZE["width"] - 1, SIZE["height"] - 1)
    page.wait_for_timeout(1500)


def keep(page, path: Path) -> None:
    """The window as it is, in 256 colours: a page has few, and the picture is a third of its size."""
    from PIL import Image

    page.screenshot(path=path, animations="disabled")
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    path.chmod(0o644)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.screenshots", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"), help="folder of the pictures")
    parser.add_argument("--notes", type=int, default=24, help="demo notes that are answered (default 24)")
    args = parser.parse_args()
    os.umask(0o077)
    installed_models = models_dir()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to(installed_models)
        os.environ["SAPPHIRE_HOME"] = folder
        os.environ.pop("SAPPHIRE_DB", None)
        shoot(fill(args.notes), home, args.out)


if __name__ == "__main__":
    main()
