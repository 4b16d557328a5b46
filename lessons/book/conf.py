"""Sphinx's settings; what is our own of Sphinx is in `hooks`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = "minitorch7"
author = "the minitorch7 authors"
extensions = ["myst_nb", "book.hooks"]
html_theme = "furo"
html_title = "minitorch7"
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["book.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_search_summary = False  # a page opened from a file may not read other files
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0a5c8f",
        "color-brand-content": "#0a5c8f",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6cbcf0",
        "color-brand-content": "#6cbcf0",
    },
}
pygments_style, pygments_dark_style = "tango", "github-dark"
exclude_patterns = ["**/.*"]
highlight_language = "text"

nb_execution_mode = "off"  # they have run
nb_merge_streams = True
nb_render_text_lexer = "none"
myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_block"]
myst_dmath_double_inline = True
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure", "myst.header"]
