#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual: writes the pages that are made from tables, then runs Sphinx (HTML and a man page).

  qmp-reference.rst      from qapi/*.json, made by the build
  options-reference.rst  capabilities and parameters, from include/migration/options.def
  command-line.rst       from the binary's own option table (-help-rst)

Nothing is written twice, and tests/qtest/test_docs.py compares the pages with what the binary
answers. --pages DIR writes the pages there and leaves Sphinx out."""
import argparse
import json
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
DOCS = TOP / "docs"
SPDX = ".. SPDX-License-Identifier: GPL-2.0-or-later\n"
BINARY = "godwit-system-x86_64"

OPTIONS_HEAD = """
Capabilities and parameters
===========================

A **capability** is a switch. It is set before a migration starts, and those that change what is on
the wire must be set alike on both sides: ``migrate-set-capabilities``, or
``migrate_set_capability NAME on`` in the human monitor. All are off at first. A **parameter** is a
value; most can be changed while a migration runs: ``migrate-set-parameters``, or
``migrate_set_parameter NAME VALUE``. A set is taken whole or not at all.

Both can be given on the command line: ``-global migration.x-NAME=on`` for a capability,
``-global migration.NAME=VALUE`` for a parameter.
"""

COMMAND_LINE_HEAD = f"""
Command line
============

::

   {BINARY} [OPTION...]

The options are QEMU's. One that is not known is an error that names the nearest one that is; one of
QEMU's that cannot be honoured is refused, with what to use instead, at the end of this page. Options
that are accepted though there is nothing for them to do say so.
"""


def since(text):
    return f"Since {text}." if text.startswith("godwit") else f"As in QEMU since {text}."


def number(value):
    return "2^64 - 1" if value == 2**64 - 1 else str(value)


def range_text(p):
    """What may be set, and what it is at first."""
    if p["type"] == "bool":
        return f"on or off; {'on' if p['default'] else 'off'} at first"
    if p["type"] == "str":
        return "text; empty at first"
    if p["type"] == "enum":
        words = p["words"]
        return ", ".join(f"``{w}``" for w in words) + f"; ``{words[p['default']]}`` at first"
    return (f"{number(p['min'])} to {number(p['max'])}{p['unit']}; "
            f"{number(p['default'])}{p['unit']} at first")


def options_page(options):
    out = [SPDX, OPTIONS_HEAD, "Capabilities\n------------\n"]
    for c in options["capabilities"]:
        out.append(f"``{c['name']}``\n   {c['doc']}\n   *{since(c['since'])}*\n")
    out.append("Parameters\n----------\n")
    for p in options["parameters"]:
        out.append(f"``{p['name']}`` ({range_text(p)})\n   {p['doc']}\n   *{since(p['since'])}*\n")
    return "\n".join(out)


def write_pages(builddir, folder):
    folder.mkdir(parents=True, exist_ok=True)
    qmp = (builddir / "qapi" / "qmp-reference.rst").read_text()
    options = json.loads((builddir / "qapi" / "options.json").read_text())
    help_rst = subprocess.run([builddir / BINARY, "-help-rst"], check=True, capture_output=True,
                              text=True).stdout
    (folder / "qmp-reference.rst").write_text(qmp)
    (folder / "options-reference.rst").write_text(options_page(options))
    (folder / "command-line.rst").write_text(f"{SPDX}{COMMAND_LINE_HEAD}\n{help_rst}")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--builddir", default="build", type=pathlib.Path)
    ap.add_argument("--pages", type=pathlib.Path, help="write the pages here, without Sphinx")
    args = ap.parse_args()

    write_pages((TOP / args.builddir).resolve(), args.pages or DOCS / "user")
    if args.pages:
        return 0
    for builder in ("html", "man"):
        done = subprocess.run(["sphinx-build", "-q", "-W", "--keep-going", "-b", builder,
                               "-d", DOCS / "_build" / "doctrees", DOCS, DOCS / "_build" / builder])
        if done.returncode:
            return done.returncode
    print(f"the manual: {DOCS / '_build' / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
