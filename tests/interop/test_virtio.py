# SPDX-License-Identifier: GPL-2.0-or-later
"""A microvm with a virtio-blk disk moves between godwit and stock QEMU while the guest reads and
writes: after each hop the guest finds every block as it left it, and takes the interrupts of its
random numbers."""
import tempfile

import pytest

from godwit import disk, environment, migration, rng, workload
from hops import switches

pytestmark = pytest.mark.kvm

BOARD = "microvm,pic=off,pit=off,rtc=off,acpi=off"


def start(machines, commands, hop, path, layout):
    peer = commands[hop + 1] if hop + 1 < len(commands) else None
    args = [*switches(commands[hop], peer), *disk.arguments(path, layout, device=",serial=one"),
            "-device", "virtio-rng-device"]
    return machines(commands[hop], name=f"hop{hop}", machine=BOARD, mem="64M", args=args,
                    incoming="defer" if hop else None,
                    **workload.guest(accel="kvm", mem=8, disk=8, rng=1, report=50, sweep=0)).start()


@pytest.mark.parametrize("layout", ["legacy", "modern"])
def test_a_guest_with_a_disk_moves_from_stock_to_godwit_and_back(machines, stock, layout):
    godwit = environment.godwit_bin()
    commands = [stock, godwit, stock, godwit, godwit]
    # Below /tmp, which a stock QEMU in a tree of its own shares.
    with tempfile.TemporaryDirectory(prefix="gw-disk-", dir="/tmp") as folder:
        path = disk.image(f"{folder}/image")
        here = start(machines, commands, 0, path, layout)
        assert disk.wait_passes(here)["id"] == "one"
        for hop in range(1, len(commands)):
            there = start(machines, commands, hop, path, layout)
            migration.set_parameters(here, max_bandwidth=0)
            migration.migrate(here, there)
            disk.wait_passes(there)
            rng.wait_answers(there)
            here.close()
            here = there
