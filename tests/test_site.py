"""The documentation as a site: it builds without a warning, and a browser shows it at every width."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import page

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once. A broken link between pages, or a page that no contents list, is an error."""
    out = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", str(ROOT / "docs"), str(out)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return out


@pytest.mark.slow
def test_the_site_has_every_command_setting_column_and_public_name(site: Path):
    import pppl
    from pppl.cli.verbs import VERBS
    from pppl.config.described import describe
    from pppl.tables.schema import COLUMN_TYPES

    def text(name: str) -> str:
        return (site / "generated" / name).read_text(encoding="utf-8")

    assert all(f"pppl {verb}" in text("commands.html") for verb in VERBS)
    assert all(f">{key}<" in text("settings.html") for key in describe(pppl.Experiment))
    assert all(f">{name}<" in text("columns.html") for name in COLUMN_TYPES)
    assert all(f'id="pppl.{name}"' in text("api/pppl.html") for name in pppl.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_the_screen_and_load_nothing_from_elsewhere(site: Path, width: int, scheme: str):
    elsewhere: list[str] = []
    with page(width, 800, color_scheme=scheme) as opened:
        opened.on("request", lambda request: elsewhere.append(request.url))
        for name in ("index", "concepts/ppp", "results/practice", "generated/settings", "generated/results/digits"):
            opened.goto(f"file://{site}/{name}.html")
            wide = opened.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, name
    assert not [url for url in elsewhere if not url.startswith(("file:", "data:"))]


@pytest.mark.slow
def test_a_click_on_a_title_sorts_a_table(site: Path):
    with page(1280, 800) as opened:
        opened.goto(f"file://{site}/generated/results/leads_digits.html")
        table = opened.locator("table.docutils").first
        table.locator("th").nth(1).click()
        cells = [each.split(" ")[0] for each in table.locator("tbody tr td:nth-child(2)").all_inner_texts()]
    numbers = [float(each) for each in cells if each[:1].isdigit()]
    assert len(numbers) > 5
    assert numbers == sorted(numbers)
