# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's disks and network card go on across moves that load all devices in one transaction:
every byte is checked by the guest and from outside. `make soak` has fifty moves of each kind."""
import pytest

from godwit import disk, postcopy, traffic
from godwit.guest import GuestFault

pytestmark = pytest.mark.kvm


def go_on(machines, way, layout, batched, moves):
    with traffic.Traffic(layout) as t:
        here = machines(name="hop0", **t.machine()).start()
        t.check(here)
        for hop in range(1, 1 + moves):
            there = machines(name=f"hop{hop}", incoming="defer",
                             **t.machine(traffic.TRACE)).start()
            traffic.move(here, there, way, batched)
            t.check(there)
            assert t.echo.by_link[hop] > 0
            here.close()
            here = there


@pytest.mark.parametrize("way, layout", [("precopy", "modern"), ("preempt", "legacy")])
def test_every_byte_is_right_across_moves(machines, way, layout):
    go_on(machines, way, layout, True, postcopy.repeats(2))


def test_a_changed_byte_is_found(machines):
    """By the comparison of the images, and by the guest, unless it writes that block first: hence
    one in each."""
    with traffic.Traffic() as t:
        vm = machines(**t.machine()).start()
        t.check(vm)
        vm.qmp.cmd("stop")
        with open(t.images[1], "r+b") as f:
            data = bytearray(f.read())
            for at in range(disk.BLOCK // 2, len(data), disk.BLOCK):
                data[at] ^= 1
            f.seek(0)
            f.write(data)
        with pytest.raises(GuestFault, match="block 0 of disk 1 on .* is not what"):
            disk.compare(vm, t.images)
        with pytest.raises(GuestFault, match="the guest's disk: {'wrong': "):
            disk.wait_passes(vm)
