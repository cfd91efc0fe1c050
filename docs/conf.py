"""The documentation site: `make docs` builds it into `docs/_build/html`.

Sphinx renders the Markdown in this folder. Pages that follow from the code or from results (commands, settings,
columns, public names, notebooks, one page for each results folder) are written into `docs/generated` before each build.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("TQDM_DISABLE", "1")

import pppl  # noqa: E402 (found by the lines above)

project = "pppl"
author = "The pppl authors"
project_copyright = f"2026, {author}"
version = release = pppl.__version__

extensions = ["myst_nb", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build", "Thumbs.db"]
nb_execution_mode = "off"  # notebooks are committed with their outputs
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "pppl"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["sort.js"]
html_extra_path = ["generated/extra"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4ea", "color-brand-content": "#7cc4ea"},
}


def setup(app: object) -> None:
    """Write the generated pages before Sphinx looks for files."""
    from pages import write_pages

    write_pages(HERE / "generated")
