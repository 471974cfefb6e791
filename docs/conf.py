# SPDX-License-Identifier: GPL-2.0-or-later
"""Sphinx: the manual. `make docs` first writes the generated pages (see scripts/make-docs.py)."""
project = "godwit"
author = "the godwit project"
copyright = "the godwit project, GPL-2.0-or-later"
extensions = ["sphinx.ext.graphviz"]
graphviz_output_format = "svg"
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "live migration for virtual machines", "page_width": "70em"}
root_doc = "index"
man_pages = [("user/command-line", "godwit-system-x86_64", "a small machine that migrates live",
              author, 1)]
