#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""House rules that a compiler does not check: layers, licence lines, file heads and sizes."""
import argparse
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
LAYERS = ["util", "io", "migration", "system", "hw", "qapi", "monitor", "main"]
MAX_LINES = 800
SOURCE = re.compile(r"\.(c|h|py|sh|S|def)$|(^|/)(configure|Makefile|run|meson\.build)$")


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP,
                         capture_output=True, text=True, check=True).stdout
    return [f for f in out.splitlines() if (TOP / f).is_file()]


def check_layers(path, text, headers):
    """A folder may include its own headers, those of the layers below, and the public ones. The
    engine's private headers stay private: only migration/ and its tests see them."""
    folder = path.split("/")[0]
    if folder not in LAYERS:
        return
    for name in re.findall(r'^#include "([^"]+)"', text, re.M):
        if name.startswith("../"):
            yield f"includes {name}: no path out of the folder"
        owner = headers.get(name)
        if owner is None or owner == folder or name.startswith("migration/"):
            continue
        if LAYERS.index(owner) > LAYERS.index(folder):
            yield f"includes {name} of {owner}/, a layer above {folder}/"
        if owner == "migration":
            yield f"includes {name}, private to the engine: use include/migration/"


def check_file(path, headers):
    text = (TOP / path).read_text(errors="replace")
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        yield f"{len(lines)} lines, the limit is {MAX_LINES}: split it along its ideas"
    if SOURCE.search(path) and "SPDX-License-Identifier: GPL-2.0-or-later" not in text[:400]:
        yield "no SPDX line on top"
    if path.endswith((".c", ".h")):
        if "/*" not in "\n".join(lines[1:12]):
            yield "does not say on top what it owns"
        for i, line in enumerate(lines, 1):
            if len(line.expandtabs(4)) > 100:
                yield f"line {i} is longer than 100 columns"
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"line {i}: left open"
        yield from check_layers(path, text, headers)


def main():
    argparse.ArgumentParser(description=__doc__).parse_known_args()
    files = tracked()
    headers = {}
    for f in files:
        if f.endswith(".h") and f.split("/")[0] in LAYERS:
            headers[f.split("/", 1)[1]] = f.split("/")[0]
    bad = 0
    for f in files:
        for what in check_file(f, headers):
            print(f"{f}: {what}")
            bad += 1
    print(f"lint: {len(files)} files, {bad} findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
