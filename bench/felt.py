# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest felt: its fine histograms (tests/guest/felt.c), read from guest memory.

A Histogram is a difference of two readings. Its buckets are an eighth of a power of two of 64 ns
wide, each with its number of events and their exact sum, so sums and means of whole buckets are
exact and quantiles are good to about 6 %."""
import struct

BUCKETS = 256
UNIT_NS = 64
SIZE = 2 * 2 * BUCKETS * 8  # touches and gaps: counts and ticks of each
PER_CPU = 8192


def bucket_ns(i):
    """Where bucket i begins."""
    return UNIT_NS * (i if i < 8 else (8 + i % 8) << (i // 8 - 1))


class Histogram:
    def __init__(self, counts, sums_ns):
        self.counts = counts
        self.sums = sums_ns

    def __sub__(self, before):
        return Histogram([a - b for a, b in zip(self.counts, before.counts)],
                         [a - b for a, b in zip(self.sums, before.sums)])

    def longest(self, n):
        """The n longest events, as a histogram."""
        counts, sums = [0] * BUCKETS, [0] * BUCKETS
        for i in reversed(range(BUCKETS)):
            take = min(n, self.counts[i])
            if take:
                counts[i] = take
                sums[i] = self.sums[i] * take / self.counts[i]
                n -= take
        return Histogram(counts, sums)

    def above_us(self, us):
        """The events of at least so many microseconds (the bucket that holds it included)."""
        keep = [bucket_ns(i + 1) > us * 1000 for i in range(BUCKETS)]
        return Histogram([c * k for c, k in zip(self.counts, keep)],
                         [s * k for s, k in zip(self.sums, keep)])

    def count(self):
        return sum(self.counts)

    def total_ms(self):
        return sum(self.sums) / 1e6

    def mean_us(self):
        return sum(self.sums) / self.count() / 1e3 if self.count() else 0.0

    def quantile_us(self, q):
        """The mean of the bucket that holds the quantile."""
        seen, wanted = 0, q * self.count()
        for c, s in zip(self.counts, self.sums):
            seen += c
            if c and seen >= wanted:
                return s / c / 1e3
        return 0.0

    def longest_us(self):
        return self.quantile_us(1.0)


def read(machine, address, tsc_khz, cpus=1):
    """(touches, gaps) of all vCPUs so far; microseconds from the guest's own clock rate."""
    data = machine.pmemsave(address, PER_CPU * cpus)
    histograms = []
    for which in range(2):
        counts, ticks = [0] * BUCKETS, [0] * BUCKETS
        for cpu in range(cpus):
            at = cpu * PER_CPU + which * SIZE // 2
            words = struct.unpack_from(f"<{2 * BUCKETS}Q", data, at)
            counts = [a + b for a, b in zip(counts, words[:BUCKETS])]
            ticks = [a + b for a, b in zip(ticks, words[BUCKETS:])]
        histograms.append(Histogram(counts, [t * 1e6 / tsc_khz for t in ticks]))
    return histograms
