# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose disks and network card are at work moves from one VMM to the next and on, by precopy
and by postcopy, its devices loaded in one transaction or one after the other. After each move it
reads all of its disks and memory, its frames come back, and the images are compared with what it
wrote. A run is one move."""
import itertools

from godwit import postcopy, traffic
from godwit.machine import Machine

BACKGROUNDS = [0, 64 << 20, postcopy.BACKGROUND]  # bytes/s; 0: no limit
POSTCOPY = ["vanilla", "preempt", "everything"]


class Devices:
    def __init__(self, way, layout, batched):
        self.name = f"devices {way} {layout} {'batched' if batched else 'one by one'}"
        self.way, self.layout, self.batched = way, layout, batched
        self.traffic = self.here = None

    def open(self):
        self.traffic = traffic.Traffic(self.layout)

    def _machine(self, name, incoming=None):
        return Machine(name=name, incoming=incoming, **self.traffic.machine(traffic.TRACE)).start()

    def run(self, rng, number):
        if not self.here:
            self.here = self._machine(f"hop{number}")
            self.traffic.check(self.here)
        there = self._machine(f"hop{number + 1}", "defer")
        way = self.way if self.way == "precopy" else POSTCOPY[number % len(POSTCOPY)]
        try:
            traffic.move(self.here, there, way, self.batched, rng.choice(BACKGROUNDS))
            counts = self.traffic.check(there)
        except BaseException:
            there.close()
            self.restart()
            raise
        self.here.close()
        self.here = there
        return counts

    def restart(self):
        """The next run begins with a new guest."""
        if self.here:
            self.here.close()
        self.here = None
        self.traffic.forget()

    def close(self):
        self.restart()
        self.traffic.close()


def scenarios():
    for way, layout, batched in itertools.product(["precopy", "postcopy"], ["legacy", "modern"],
                                                  [True, False]):
        yield Devices(way, layout, batched)
