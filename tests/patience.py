"""For a table drawn on a canvas: it takes clicks some time after it is seen, and nothing in the page says when."""

from collections.abc import Callable

from playwright.sync_api import Locator, expect

TRIES, SECONDS = 5, 8


def click_until(click: Callable[[], None], there: Locator) -> None:
    """Click, and click again when after eight seconds what should come of it is not there."""
    for _ in range(TRIES - 1):
        click()
        try:
            return expect(there).to_be_visible(timeout=1000 * SECONDS)
        except AssertionError:
            continue
    click()
    return expect(there).to_be_visible()
