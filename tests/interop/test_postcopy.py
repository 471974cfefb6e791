# SPDX-License-Identifier: GPL-2.0-or-later
"""A running microvm guest moves by postcopy between godwit and stock QEMU; the guest asks for its
pages over the wire and verifies all of its memory afterwards."""
import pytest

from godwit import environment, postcopy, workload
from hops import preempt_switches, switches

pytestmark = pytest.mark.kvm

BOARD = "microvm,pic=off,pit=off,rtc=off,acpi=off"


@pytest.fixture
def ends(machines, stock):
    """A maker of (source that works, destination): `out` of godwit or `back` to it."""
    def make(direction, mode, cpus=1, **options):
        a, b = [tuple(environment.godwit_bin()), stock][::1 if direction == "out" else -1]
        kw = dict(workload.guest(accel="kvm", cpus=cpus, **options), machine=BOARD, mem="48M",
                  cpus=cpus)
        source = machines(a, name="src", args=switches(a, b) + preempt_switches(a, b, mode),
                          **kw).start()
        destination = machines(b, name="dst", incoming="defer",
                               args=preempt_switches(b, a, mode), **kw).start()
        workload.wait_ready(source)
        return source, destination

    return make


@pytest.mark.parametrize("mode", ["vanilla", "preempt"])
@pytest.mark.parametrize("direction", ["out", "back"])
def test_a_running_guest_moves(ends, direction, mode):
    a, b = ends(direction, mode, pattern="random")
    info = postcopy.move(a, b, mode, least=5)
    if direction == "out":  # a godwit that waits for the channel in vain takes no guest over
        assert (info["postcopy-preempt"]["urgent-pages"] >= 5) == (mode == "preempt"), info


@pytest.mark.parametrize("direction", ["out", "back"])
def test_a_guest_with_two_vcpus_moves_in_the_middle_of_a_pass(ends, direction):
    a, b = ends(direction, "preempt", cpus=2, pattern="random")
    postcopy.move(a, b, "preempt", when="mid-pass")


def test_stock_takes_pages_that_it_has_not_asked_for(ends):
    a, b = ends("out", "prefetch", pattern="seq")
    postcopy.move(a, b, "prefetch", least=5)
    assert a.qmp.cmd("query-migrate")["postcopy-preempt"]["prefetch-hit"] > 0
