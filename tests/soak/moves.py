# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that works by a pattern moves by a postcopy that is started at once, from one VMM to the
next and on, and verifies all of its memory after each move. A run is one move."""
import contextlib
import pathlib

from godwit import migration, postcopy, workload
from godwit.machine import Machine

PATTERNS = {"seq": {}, "reverse": {}, "random": {}, "stride": {"stride": 16}, "stream": {"rate": 400}}
BACKGROUNDS = [0, 1 << 30, 512 << 20]  # bytes/s; 0: no limit
KINDS = {"": {}, "2 MiB pages": {"huge": True}, "4 vCPUs": {"cpus": 4}}
ROOM = 16  # MiB of RAM beside the memory under test
HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


@contextlib.contextmanager
def huge_pages(count):
    """That many more 2 MiB pages; what was reserved before is so again afterwards."""
    total = HUGE / "nr_hugepages"
    before = int(total.read_text())
    total.write_text(str(before + count))
    try:
        free = int((HUGE / "free_hugepages").read_text())
        if free < count:
            raise OSError(f"there is room for {free} huge pages only, not for {count}")
        yield
    finally:
        total.write_text(str(before))


class Moves:
    def __init__(self, accel, pattern, kind, mib):
        self.name = " ".join(filter(None, ["move", accel, pattern, kind]))
        self.accel, self.pattern = accel, pattern
        self.mib, self.ram = mib, mib + ROOM
        self.huge, self.cpus = KINDS[kind].get("huge"), KINDS[kind].get("cpus", 1)
        self.here = None
        self.stack = contextlib.ExitStack()

    def open(self):
        if self.huge:
            self.stack.enter_context(huge_pages(2 * (self.ram // 2 + 1)))

    def _machine(self, name, incoming=None):
        args = []
        if self.huge:
            args = ["-object", f"memory-backend-memfd,id=mem,size={self.ram}M,hugetlb=on,"
                    "hugetlbsize=2M", "-machine", "memory-backend=mem"]
        options = {"rate": 0, **PATTERNS[self.pattern]}
        return Machine(name=name, mem=f"{self.ram}M", cpus=self.cpus, args=args, serial="socket",
                       incoming=incoming, **workload.guest(
                           accel=self.accel, pattern=self.pattern, mem=self.mib, cpus=self.cpus,
                           sweep=0, **options)).start()

    def run(self, rng, number):
        if not self.here:
            self.here = self._machine(f"hop{number}")
            workload.wait_ready(self.here)
        mode = list(postcopy.MODES)[number % len(postcopy.MODES)]
        there = self._machine(f"hop{number + 1}", "defer")
        try:
            info, pages = self._move(there, mode, rng.choice(BACKGROUNDS))
        except BaseException:
            there.close()
            self.restart()
            raise
        self.here.close()
        self.here = there
        return {"pages verified": pages, "pages asked for": info["ram"]["postcopy-requests"]}

    def _move(self, there, mode, background):
        postcopy.enable(self.here, there, mode, background=background)
        postcopy.begin(self.here, migration.listen(there, "tcp:127.0.0.1:0"))
        postcopy.wait_running(self.here, there)
        info = postcopy.finish(self.here, there)
        assert info["ram"]["postcopy-requests"] > 0, "the guest met no missing page"
        return info, workload.verify(there)[0]

    def restart(self):
        """The next run begins with a new guest."""
        if self.here:
            self.here.close()
        self.here = None

    def close(self):
        self.restart()
        self.stack.close()
