# SPDX-License-Identifier: GPL-2.0-or-later
"""A running microvm guest between godwit and stock QEMU: the guest verifies all of its memory after
each hop."""
import itertools

import pytest

from godwit import environment, migration, workload
from hops import switches

pytestmark = pytest.mark.kvm

# The boards that both sides can have alike.
BOARDS = {
    "bare": "microvm,pic=off,pit=off,rtc=off,acpi=off",
    "legacy": "microvm,pic=on,pit=on,rtc=on,acpi=off",
    "default": "microvm",
}


@pytest.fixture(params=BOARDS)
def start(request, machines):
    def make(command, peer, name, incoming="defer", cpus=1, **options):
        return machines(command, name=name, machine=BOARDS[request.param], mem="64M", cpus=cpus,
                        incoming=incoming, args=switches(command, peer),
                        **workload.guest(accel="kvm", cpus=cpus, **options)).start()

    make.board = request.param
    return make


def move(start, commands, **options):
    """Along these VMMs, one after the other."""
    peers = [*commands[1:], None]
    here = start(commands[0], peers[0], "hop0", incoming=None, **options)
    workload.wait_ready(here)
    for hop, (command, peer) in enumerate(zip(commands[1:], peers[1:]), 1):
        there = start(command, peer, f"hop{hop}", **options)
        migration.set_parameters(here, max_bandwidth=0)
        migration.migrate(here, there)
        workload.verify(there)
        here.close()
        here = there
    report = here.guest.wait_reports(1)[0]
    assert (report["wrong"], report["back"]) == (0, 0)


def test_a_running_guest_moves_from_godwit_to_stock(start, stock):
    move(start, [environment.godwit_bin(), stock])


def test_a_running_guest_moves_from_stock_to_godwit(start, stock):
    if start.board == "default" and environment.version(tuple(stock)) >= (8, 0):
        pytest.skip("the firmware of this QEMU takes minutes to start an ACPI board where ring 0 is "
                    "emulated; the moves back and forth cover this direction")
    move(start, [stock, environment.godwit_bin()])


def test_a_running_guest_moves_back_and_forth(start, stock):
    move(start, list(itertools.islice(itertools.cycle([environment.godwit_bin(), stock]), 7)))


def test_an_idle_guest_wakes_by_its_timer_on_the_other_side(start, stock):
    godwit = environment.godwit_bin()
    move(start, [godwit, stock, godwit], pattern="idle")


def test_a_guest_with_two_vcpus_moves_both_ways(start, stock):
    godwit = environment.godwit_bin()
    move(start, [godwit, stock, godwit], cpus=2)
