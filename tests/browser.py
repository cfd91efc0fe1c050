"""A headless Chromium for tests of what people see."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_CHROMIUM = Path("/usr/bin/chromium")
# It must need no sandbox of the kernel and ask nobody for anything.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]


@contextmanager
def page(width: int, height: int, **context: Any) -> Iterator[Any]:
    """A page of a fresh browser, closed in the end; skips the test where there is no Chromium.

    **Arguments:**

    - `width`, `height`: of the window, pixels.
    - `context`: of `Browser.new_context`, such as `color_scheme="dark"`.
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
