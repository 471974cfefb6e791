# SPDX-License-Identifier: GPL-2.0-or-later
"""The postcopy rows: what the guest does, how it is moved, and what godwit shall reach."""

# What the guest does with its memory. Words of its command line.
PATTERNS = {
    "random": {"pattern": "random"},
    "sequential": {"pattern": "seq"},
    "reverse": {"pattern": "reverse"},
    "strided": {"pattern": "stride", "stride": 16},
    "stream": {"pattern": "stream", "rate": 200},  # MB/s: a video
}

# (name, capabilities of godwit, whether stock QEMU has it as well).
VARIANTS = {
    "vanilla": ((), True),
    "preempt": (("postcopy-preempt",), True),
    "hint": (("postcopy-preempt", "postcopy-preempt-hint"), False),
    "prefetch": (("postcopy-preempt", "postcopy-prefetch"), False),
}

# Each: the measured value, its unit.
VALUES = {
    "requests": "pages",
    "mean_us": "us",
    "p50_us": "us",
    "p99_us": "us",
    "p999_us": "us",
    "longest_us": "us",
    "stalled_ms": "ms",
    "arrived_ms": "ms",
}


def goals():
    """(row, variant, value, other variant, other VMM, most): value of godwit's `variant` divided by
    the value of the other must not be more than that."""
    found = [("random", "preempt", "mean_us", "preempt", "stock", 0.5),
             ("random", "preempt", "p99_us", "preempt", "stock", 0.5)]
    found += [(row, "preempt", "arrived_ms", "preempt", "stock", 0.5) for row in PATTERNS]
    # From 10.1 on stock QEMU hints whenever it preempts; here that is a capability of its own.
    found += [(row, "hint", "stalled_ms", "preempt", "stock", 0.5)
              for row in ("sequential", "stream")]
    found += [(row, "prefetch", "requests", "vanilla", "godwit", 0.05)
              for row in ("sequential", "strided")]
    found += [("random", "prefetch", value, "preempt", "godwit", 1.03)
              for value in ("mean_us", "p99_us", "arrived_ms")]
    return found
