# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose balloon gives free-page hints moves between godwit and stock QEMU: each source asks
it, and what it wrote into pages that it had called free is there after each hop."""
import pytest

from godwit import balloon, environment, migration, workload
from hops import switches

pytestmark = pytest.mark.kvm

BOARD = "microvm,pic=off,pit=off,rtc=off,acpi=off"
FREE = 16  # MiB
SLOW = 1 << 20  # bytes/s: the first pass lasts until the guest has told everything


def start(machines, commands, hop):
    peer = commands[hop + 1] if hop + 1 < len(commands) else None
    args = [*switches(commands[hop], peer), *balloon.arguments()]
    return machines(commands[hop], name=f"hop{hop}", machine=BOARD, mem="64M", args=args,
                    incoming="defer" if hop else None,
                    **workload.guest(accel="kvm", mem=16, free=FREE, report=50, sweep=0,
                                     rate=20)).start()


def test_hints_across_hops(machines, stock):
    godwit = environment.godwit_bin()
    commands = [stock, godwit, stock, godwit, godwit]
    here = start(machines, commands, 0)
    said = balloon.wait(here, "set its balloon up", lambda r: r["hinting"] == 1)
    for hop in range(1, len(commands)):
        there = start(machines, commands, hop)
        uri = migration.listen(there, f"unix:{there.dir}/migrate")
        migration.set_parameters(here, max_bandwidth=SLOW)
        here.qmp.cmd("migrate", {"uri": uri})
        # Stock QEMU may ask once more after each pass.
        balloon.wait(here, "tell of its free pages",
                     lambda r, s=said: r["asked"] > s["asked"] and
                     r["hinted"] >= s["hinted"] + FREE * 4)
        migration.set_parameters(here, max_bandwidth=0)
        migration.wait_moved(here, there)
        said = balloon.wait(there, "take its pages back",
                            lambda r, n=hop: r["done"] >= n and r["verified"])
        here.close()
        here = there
