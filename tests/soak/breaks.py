# SPDX-License-Identifier: GPL-2.0-or-later
"""A postcopy is broken, at any moment or in its last 100 ms: the network is cut, or somebody says
migrate-pause. Both ends are brought back together, and exactly one side ends up with the guest, all
of its memory right. A source that has handed the guest over never runs it again, not even for a
moment. A run is one migration."""
import time

from godwit import environment, migration, postcopy, recovery, workload
from godwit.machine import Machine
from godwit.proxy import Proxy

BOARD = "microvm,pic=off,pit=off,rtc=off,acpi=off"
MIB = 16
BELOW = 4  # MiB of RAM below the memory under test; there is none above it, the last page counts
RATE = 20  # MB/s: a guest in a hurry has asked for everything before anything can break
SPEED = 24 << 20  # bytes/s of the line, or of the background stream: a whole migration takes 0.7 s
ENDS = ["pause source", "pause destination", "cut", "cut main", "cut preempt", "reset"]


class Breaks:
    """`command` of the source and of the destination; `way`: one, or None for all in turn; `last`:
    in the last 100 ms and shortly after, else at any moment."""

    def __init__(self, name, ends, accel, way=None, last=False):
        self.name, self.ends, self.accel = name, ends, accel
        self.ways = [way] if way else ENDS
        self.last = last

    def open(self):
        pass

    def close(self):
        pass

    def _machines(self):
        kw = dict(workload.guest(accel=self.accel, mem=MIB, rate=RATE, sweep=0, report=50), machine=BOARD,
                  mem=f"{MIB + BELOW}M", serial="socket")
        a = Machine(self.ends[0], name="src", **kw)
        return a, Machine(self.ends[1], name="dst", incoming="defer", **kw)

    def run(self, rng, number):
        a, b = self._machines()
        net = None
        try:
            for vm in (a, b):
                vm.start()
            workload.wait_ready(a)
            mode = rng.choice([m for m in postcopy.MODES if m != "vanilla" or "preempt" not in
                               self.ways[0]])
            slow_line = rng.random() < 0.7  # else bursts, every 100 ms
            postcopy.enable(a, b, mode, background=0 if slow_line else SPEED)
            b.qmp.cmd("migrate-incoming", {"uri": "tcp:127.0.0.1:0", "exit-on-error": False})
            net = Proxy(postcopy.listening(b), rates={0: SPEED} if slow_line else None)
            return self._break(a, b, net, rng, self.ways[number % len(self.ways)])
        finally:
            if net:
                net.close()
            a.close()
            b.close()

    @staticmethod
    def _wait(source, left):
        """Until so many bytes are left to be sent, or it is over."""
        while migration.status(source) not in postcopy.RESTS and postcopy.remaining(source) > left:
            time.sleep(0.001)

    def _break(self, a, b, net, rng, way):
        postcopy.begin(a, net.uri)
        self._wait(a, SPEED / 10 if self.last else rng.uniform(0, 1.2) * (MIB << 20))
        time.sleep(rng.uniform(0, 0.12 if self.last else 0.02))
        was = migration.status(a), migration.status(b)
        recovery.break_it(a, b, net, way)
        try:
            owner, pages = recovery.settle(a, b, net)
        except recovery.BothRun:
            # Stock QEMU's: a source that has sent everything and lost the connection takes back
            # what it gave away. The destination cannot see it.
            if not environment.is_stock(a.command) or migration.status(a) != "failed":
                raise
            return {"taken back by stock QEMU": 1}
        return {"pages verified": pages, f"met {was[0]}": 1,
                "went on at the source": int(owner is a)}


def recoveries(accel):
    """The network is cut at a random moment, both channels or one of them."""
    godwit = environment.godwit_bin()
    for way, what in (("cut", "both channels"), ("cut main", "the main channel"),
                      ("cut preempt", "the preempt channel")):
        yield Breaks(f"recovery {accel} {what}", (godwit, godwit), accel, way)


def ends(accel):
    """Between two godwits and, on KVM, with stock QEMU at either end."""
    godwit = environment.godwit_bin()
    yield Breaks(f"end {accel}", (godwit, godwit), accel, last=True)
    stock = environment.trixie_qemu()[0]
    if stock and accel == "kvm":
        yield Breaks("end kvm to stock QEMU", (godwit, stock), accel, last=True)
        yield Breaks("end kvm from stock QEMU", (stock, godwit), accel, last=True)
