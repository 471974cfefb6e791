# SPDX-License-Identifier: GPL-2.0-or-later
"""Sphinx: the manual. `make docs` first writes the generated pages (see scripts/make-docs.py)."""
project = "godwit"
author = "the godwit project"
copyright = "the godwit project, GPL-2.0-or-later"
extensions = ["sphinx.ext.graphviz"]
graphviz_output_format = "svg"
graphviz_dot_args = [f"-{what}fontname=sans-serif" for what in "GNE"] + [
    "-Nfontsize=11", "-Efontsize=10", "-Nstyle=filled", "-Nfillcolor=white", "-Ncolor=#1f5fa8",
    "-Ecolor=#57606a", "-Nheight=0.35", "-Earrowsize=0.7"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "live migration for virtual machines", "page_width": "70em"}
root_doc = "index"
man_pages = [("user/command-line", "godwit-system-x86_64", "a small machine that migrates live",
              author, 1)]
