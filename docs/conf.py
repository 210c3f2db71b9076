"""How Sphinx builds the manual: MyST Markdown in, Furo out, no warning tolerated (`make docs`)."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "recgate"
author = "the recgate contributors"
copyright = "the recgate contributors, Apache-2.0"  # noqa: A001 - Sphinx's name for it
release = installed_version("recgate")
version = release

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build", "generators"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3
# Front matter that the runner of examples reads (docs/examples.py); Sphinx has no use for it.
myst_ref_domains = ("std",)

html_theme = "furo"
html_title = f"recgate {release}"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["recgate.css"]
html_favicon = None
pygments_style = "friendly"
pygments_dark_style = "monokai"
# `…` stands for output that differs from run to run; no lexer needs to like it.
suppress_warnings = ["misc.highlighting_failure"]
