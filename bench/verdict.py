# SPDX-License-Identifier: GPL-2.0-or-later
"""The last lines of every bench: each goal, and whether it was reached."""


def print_goals(results):
    """(text, ratio, most) of each goal that was measured."""
    for text, ratio, most in results:
        print(f"{text}: {ratio:.2f} (goal: at most {most}) {'ok' if ratio <= most else 'MISSED'}")
