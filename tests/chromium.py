"""Find or install the browser that the tests drive: `python -m tests.chromium` prints its path.

$CHROME comes first, then an installed Chromium or Chrome, then Debian's package when root, then Playwright's own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def installed() -> str | None:
    """The path of a browser that is there now."""
    if chosen := os.environ.get("CHROME"):
        return chosen if shutil.which(chosen) else None
    found = next(filter(None, map(shutil.which, NAMES)), None) or (str(MAC) if MAC.exists() else None)
    return found or _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        command = ["apt-get", "install", "-y", "-qq", "chromium"]
    else:
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
    print(f"Installing a browser for the tests: {' '.join(command[:4])} ...", flush=True)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main() -> int:
    if "CHROME" in os.environ and not installed():
        print(f"CHROME is set to {os.environ['CHROME']}, which is no program; correct or unset it.", file=sys.stderr)
        return 1
    if not installed():
        install()
    if path := installed():
        print(f"Browser for the tests: {path}")
        return 0
    print("The tests need Chromium and none could be installed; install it or set CHROME to its path.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
