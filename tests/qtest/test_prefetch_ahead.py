# SPDX-License-Identifier: GPL-2.0-or-later
"""With postcopy-prefetch the background stream goes where the guest goes: a destination by hand walks
downwards through the block, and the pages below come without being asked for, long before those at
the beginning of the block, where the background would otherwise be."""
import random

import pytest

from godwit import migration, postcopy, wire
from godwit.peers import FakeDestination

PAGE = wire.PAGE
PAGES = 1024
CONTENT = random.Random(5).randbytes(PAGES * PAGE)
TOP = 900    # the walk begins here...
FAR = 301    # where the background comes only after all that lies below this


@pytest.fixture
def source(machines, tmp_path):
    """A source whose background hardly moves, and a destination by hand that has taken over."""
    path = tmp_path / "memory"
    path.write_bytes(CONTENT)
    vm = machines(name="src", machine="none,memory-backend=ram", mem="4M", args=[
        "-object", f"memory-backend-file,id=ram,mem-path={path},size=4M,share=off"]).start()
    peer = FakeDestination()

    def start(*more):
        postcopy.capabilities(vm, ["postcopy-ram", "postcopy-preempt", *more])
        migration.set_parameters(vm, max_bandwidth=PAGE, max_postcopy_bandwidth=PAGE)
        vm.qmp.cmd("migrate", {"uri": peer.uri})
        vm.qmp.cmd("migrate-start-postcopy")
        migration.wait_status(vm, "postcopy-active")
        return vm, peer

    yield start
    peer.close()


def walk_down(vm, peer, step):
    """Asks for pages downwards, as a guest does that finds the last window used up."""
    page = TOP
    for _ in range(6):
        while page * PAGE in peer.urgent:
            page -= step
        peer.send(wire.request(page * PAGE, PAGE, "ram"))
        peer.wait_page(page * PAGE, urgent=True)
        page -= step
    # What was predicted for the last of them may still be on its way.
    peer.wait(lambda: len(peer.urgent) == sum(preempt(vm)[k] for k in ("urgent-pages", "prefetch-sent")),
              "the last window")


def preempt(vm):
    return vm.qmp.cmd("query-migrate")["postcopy-preempt"]


@pytest.mark.parametrize("step", [1, 7])
def test_the_background_walks_with_the_guest(source, step):
    vm, peer = source("postcopy-prefetch")
    walk_down(vm, peer, step)
    lowest = min(peer.urgent) // PAGE
    migration.set_parameters(vm, max_postcopy_bandwidth=100 * PAGE)
    peer.wait_page((lowest - 5 * step) * PAGE)
    with peer.lock:
        assert (lowest - 5 * step) * PAGE not in peer.urgent
        assert FAR * PAGE not in peer.pages
    assert preempt(vm)["prefetch-ahead"] > 0
    finish(vm, peer)


def test_without_prefetch_it_stays_where_it_is(source):
    vm, peer = source()
    for page in range(TOP, TOP - 50, -1):
        peer.send(wire.request(page * PAGE, PAGE, "ram"))
        peer.wait_page(page * PAGE, urgent=True)
    migration.set_parameters(vm, max_postcopy_bandwidth=100 * PAGE)
    peer.wait(lambda: 100 * PAGE in peer.pages, "a page at the beginning")
    with peer.lock:
        assert 849 * PAGE not in peer.pages
    assert preempt(vm)["prefetch-ahead"] == 0
    finish(vm, peer)


def finish(vm, peer):
    """All the rest; each page came once."""
    migration.set_parameters(vm, max_postcopy_bandwidth=0)
    peer.wait(peer.ended.is_set, "the end of the stream")
    peer.send(wire.message(wire.SHUT, wire.be("I", 0)))
    migration.wait_status(vm, "completed")
    assert b"".join(peer.pages[n] for n in sorted(peer.pages)) == CONTENT
    assert peer.twice == 0
