# SPDX-License-Identifier: GPL-2.0-or-later
"""A microvm with virtio-blk and virtio-net, both at work, moves between godwit and stock QEMU and
back: every byte of disks, frames and memory is checked after each hop, by the guest and from
outside."""
import pytest

from godwit import environment, migration, traffic
from hops import preempt_switches, switches

pytestmark = pytest.mark.kvm

BOARD = "microvm,pic=off,pit=off,rtc=off,acpi=off"


def walk(machines, t, commands, way):
    """Along these VMMs, one after the other."""
    here = None
    for hop, command in enumerate(commands):
        peers = [p for p in (commands[hop - 1] if hop else None,
                             commands[hop + 1] if hop + 1 < len(commands) else None) if p]
        args = switches(command, commands[hop + 1] if hop + 1 < len(commands) else None)
        args += [] if environment.is_stock(command) else traffic.TRACE
        for peer in peers if way != "precopy" else []:
            args += preempt_switches(command, peer, way)
        there = machines(command, name=f"hop{hop}", incoming="defer" if hop else None,
                         **t.machine(args)).start()
        if here:
            traffic.move(here, there, way, batched=True)
            here.close()
        t.check(there)
        assert t.echo.by_link[hop] > 0
        here = there


@pytest.mark.parametrize("layout", ["legacy", "modern"])
def test_a_working_guest_moves_from_stock_to_godwit_and_back(machines, stock, layout):
    godwit = tuple(environment.godwit_bin())
    with traffic.Traffic(layout) as t:
        walk(machines, t, [stock, godwit, stock, godwit], "precopy")


def test_a_working_guest_moves_by_postcopy_there_and_back(machines, stock):
    godwit = tuple(environment.godwit_bin())
    with traffic.Traffic() as t:
        walk(machines, t, [stock, godwit, stock], "preempt")


@pytest.mark.parametrize("ports", [[], ["-chardev", "null,id=c", "-device",
                                        "virtserialport,chardev=c,nr=1,name=org.qemu.guest_agent.0"]])
def test_a_serial_device_without_a_console_moves_both_ways(machines, stock, ports):
    """Port 0 is a console's: it counts as taken on the wire whether there is one or not."""
    godwit = environment.godwit_bin()
    commands = [godwit, stock, godwit]
    here = None
    for hop, (command, peer) in enumerate(zip(commands, [*commands[1:], None])):
        there = machines(command, name=f"hop{hop}", machine=BOARD, mem="64M", accel="kvm",
                         kernel=environment.guest_elf(), incoming="defer" if hop else None,
                         args=["-S", "-device", "virtio-serial-device", *ports,
                               *switches(command, peer)]).start()
        if here:
            migration.migrate(here, there)
            here.close()
        here = there
