"""A headless Chromium for tests of rendered pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_CHROMIUM = Path("/usr/bin/chromium")
# The browser must not need a kernel sandbox, and must not contact the network on its own.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]


@contextmanager
def page(width: int, height: int, **context: Any) -> Iterator[Any]:
    """Open a page in a fresh browser, and close the browser at the end; skip the test if Chromium is missing.

    **Arguments:**

    - `width`, `height`: the size of the window in pixels.
    - `context`: arguments of `Browser.new_context`, such as `color_scheme="dark"`.
    """
    if not _CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=_ARGUMENTS)
        try:
            yield browser.new_context(viewport={"width": width, "height": height}, **context).new_page()
        finally:
            browser.close()
