#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a picture of a terminal from what a program printed:

  make demo </dev/null | tee demo.txt; scripts/text-svg.py demo.txt docs/images/demo.svg"""
import argparse
import html
import pathlib
import re

CELL_W, CELL_H, PAD, BAR = 8.43, 19, 16, 30
FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"
# What is shown in a colour: the first pattern that matches a line.
COLOURS = [(r"^\$ ", "#ffffff"), (r"^ +-- ", "#f2cc60"), (r"wrong pages +0$|completed", "#7ee787"),
           (r"postcopy", "#ffa657"), (r"\[#", "#79c0ff")]


def colour(line):
    return next((c for pattern, c in COLOURS if re.search(pattern, line)), "#c9d1d9")


def picture(lines, title):
    columns = max(map(len, lines))
    w, h = columns * CELL_W + 2 * PAD, len(lines) * CELL_H + 2 * PAD + BAR
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" '
           f'height="{h:.0f}" role="img">',
           "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->",
           f"<title>{html.escape(title)}</title>",
           f'<rect width="{w:.0f}" height="{h:.0f}" rx="8" fill="#0d1117"/>']
    out += [f'<circle cx="{PAD + 6 + 18 * i}" cy="17" r="5" fill="{c}"/>'
            for i, c in enumerate(("#ff5f57", "#febc2e", "#28c840"))]
    out.append(f'<g font-family="{FONT}" font-size="14" xml:space="preserve">')
    for i, line in enumerate(lines):
        if line.strip():
            y = BAR + PAD + i * CELL_H + 10
            out.append(f'<text x="{PAD}" y="{y}" fill="{colour(line)}" '
                       f'textLength="{len(line) * CELL_W:.1f}">{html.escape(line)}</text>')
    return "\n".join(out + ["</g>", "</svg>"]) + "\n"


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("text", type=pathlib.Path)
    ap.add_argument("svg", type=pathlib.Path)
    ap.add_argument("--title", default="make demo")
    args = ap.parse_args()
    lines = args.text.read_text().rstrip().expandtabs().splitlines()
    args.svg.write_text(picture([f"$ {args.title}", *map(str.rstrip, lines)], args.title))


if __name__ == "__main__":
    main()
