# SPDX-License-Identifier: GPL-2.0-or-later
"""What converge_run.py measured, as medians, as a table for the manual, and against the goals.

`found` is {row: {"VMM way": [run, ...]}}; a row is a guest and a link, see row_name()."""
import statistics

import verdict

VALUES = {"total_s": "s", "lost_percent": "% of operations", "lost_s": "s of operations",
          "downtime_ms": "ms", "throttle": "%", "sent_gb": "GB"}
COLUMNS = (("QEMU auto-converge", "stock auto-converge"), ("auto-converge", "godwit auto-converge"),
           ("background-sync", "godwit background-sync"), ("dirty-limit", "godwit dirty-limit"),
           ("QEMU postcopy", "stock postcopy"), ("postcopy", "godwit postcopy"))
LEAST_LOST = 0.5  # percent: less than that cannot be told from nothing


def row_name(pattern, mem, mb, load, working_set):
    return f"{pattern} {mem} MiB {mb}x{load:g}/{working_set}%"


def median(found, row, what, value):
    runs = found.get(row, {}).get(what)
    return statistics.median(r[value] for r in runs) if runs else None


def goals_of(found, row):
    """(text, ratio, most) of a guest that dirties as much as the link carries."""
    mine, alone, theirs = (median(found, row, what, "total_s") for what in (
        "godwit background-sync", "godwit auto-converge", "stock auto-converge"))
    lost = [median(found, row, f"godwit {w}", "lost_percent")
            for w in ("background-sync", "auto-converge")]
    if mine and alone:
        yield f"{row}: time with background-sync / auto-converge", mine / alone, 0.7
    if mine and theirs:
        yield f"{row}: time with background-sync / stock", mine / theirs, 1.0
    if None not in lost:
        yield (f"{row}: operations lost a second, background-sync / auto-converge",
               max(lost[0], LEAST_LOST) / max(lost[1], LEAST_LOST), 1.0)


def judge(found, monitor=None):
    """(text, ratio, most) of the goals that were measured."""
    results = [goal for row in found if "x1/90%" in row for goal in goals_of(found, row)]
    for accel, r in (monitor or {}).items():
        results.append((f"longest answer of the monitor, {accel}, of 20 ms", r["longest_ms"] / 20,
                        1.0))
    return results


def print_medians(found, monitor=None):
    print("\nmedians" + " " * 43 + " ".join(f"{v:>13}" for v in VALUES))
    for row, whats in found.items():
        for what in whats:
            print(f"{row:24} {what:24} " +
                  " ".join(f"{median(found, row, what, v):13.2f}" for v in VALUES))
    print()
    verdict.print_goals(judge(found, monitor))


def cell(found, row, what):
    runs = found[row].get(what)
    if not runs:
        return "-"
    ended = "" if all(r["converged"] for r in runs) else "> "
    return (f"{ended}{median(found, row, what, 'total_s'):.1f} s "
            f"{max(median(found, row, what, 'lost_percent'), 0):.1f} %")


def rst(found):
    """Time and share of operations lost of each way; > is a migration that was given up."""
    lines = [["guest and link", *(title for title, _ in COLUMNS)]]
    lines += [[row, *(cell(found, row, what) for _, what in COLUMNS)] for row in sorted(found)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = " ".join("=" * w for w in widths)
    rows = [" ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines]
    return "\n".join([rule, rows[0], rule, *rows[1:], rule])
