# SPDX-License-Identifier: GPL-2.0-or-later
"""A bar chart of ratios as SVG: what each row reached, with a mark where its goal is."""

WIDTH, LEFT, ROW = 860, 430, 26
SCALE = 260  # pixels for a ratio of 1


def _text(x, y, text, anchor="start", colour="#222"):
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return (f'<text x="{x}" y="{y}" font-family="sans-serif" font-size="13" fill="{colour}" '
            f'text-anchor="{anchor}">{text}</text>')


def ratios_svg(title, results):
    """`results`: (text, ratio, most). Bars are cut at 1.5."""
    height = 60 + ROW * len(results)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', _text(12, 24, title)]
    for i, (text, ratio, most) in enumerate(results):
        y = 44 + ROW * i
        length = min(ratio, 1.5) * SCALE
        colour = "#3a7d44" if ratio <= most else "#b5482f"
        parts += [_text(LEFT - 10, y + 14, text, "end"),
                  f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="18" fill="{colour}"/>',
                  f'<line x1="{LEFT + most * SCALE}" x2="{LEFT + most * SCALE}" y1="{y - 3}" '
                  f'y2="{y + 21}" stroke="#222" stroke-width="2"/>',
                  _text(LEFT + max(length, most * SCALE) + 8, y + 14, f"{ratio:.2f}")]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
