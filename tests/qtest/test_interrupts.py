# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that goes on by a virtio queue's interrupts alone (tests/guest/rng.c) takes them before
and after a move; and the kicks of its queues are ioeventfds, which a load sets in one commit."""
import pytest

from godwit import disk, environment, migration, postcopy, rng, workload
from godwit.machine import StartError

pytestmark = pytest.mark.kvm

# Edges of the I/O APIC in the kernel; levels of the second one, which is not.
EDGE, LEVEL = "microvm,acpi=off,pic=off,pit=off", "microvm"
MODERN = ["-global", "virtio-mmio.force-legacy=off"]
NO_IOEVENTFD = ["-global", "virtio-mmio.ioeventfd=off"]


@pytest.fixture
def start(machines):
    def make(name, machine=EDGE, args=(), incoming="defer", wrapper=(), **words):
        vm = machines(name=name, machine=machine, mem="64M", incoming=incoming, wrapper=wrapper,
                      args=["-device", "virtio-rng-device", *args],
                      **workload.guest(mem=8, rng=1, report=20, sweep=0, **words)).start()
        if incoming is None:
            rng.wait_answers(vm)
        return vm

    return make


@pytest.mark.parametrize("machine, args, gsi", [
    (EDGE, [], 12), (EDGE, NO_IOEVENTFD, 12), (LEVEL, MODERN, 47),
], ids=["edge", "edge, kicks as exits", "level"])
def test_interrupts_arrive_before_and_after_moves(start, machine, args, gsi):
    here = start("hop0", machine, args, incoming=None)
    for hop in 1, 2:
        there = start(f"hop{hop}", machine, args)
        migration.set_capabilities(there, batch_vmstate_load=hop == 1)
        migration.set_parameters(here, max_bandwidth=0)
        migration.migrate(here, there)
        assert rng.wait_answers(there)["gsi"] == gsi
        here.close()
        here = there


@pytest.mark.parametrize("machine", [EDGE, LEVEL], ids=["edge", "level"])
def test_interrupts_arrive_in_a_postcopy(start, machine):
    a, b = start("src", machine, incoming=None), start("dst", machine)
    postcopy.enable(a, b, "everything", background=16 << 20)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    a.qmp.cmd("migrate-start-postcopy")
    rng.wait_answers(b)
    migration.wait_moved(a, b)
    rng.wait_answers(b)


@pytest.mark.parametrize("machine", [EDGE, LEVEL], ids=["edge", "level"])
def test_the_guest_cannot_do_without_interrupts(start, machine):
    """The same move to a side that injects none."""
    library = environment.build_dir() / "tests/qtest/libno-irq.so"
    a = start("src", machine, incoming=None)
    try:
        b = start("dst", machine, wrapper=["env", f"LD_PRELOAD={library}"])
    except StartError as e:
        pytest.skip(f"a library cannot be preloaded here: {e}")
    migration.migrate(a, b)
    last = rng.wait_lost(b)
    assert rng.wait_lost(b)["answered"] == last["answered"]


@pytest.mark.parametrize("args, edits", [([], 5), (NO_IOEVENTFD, 0)], ids=["on", "off"])
@pytest.mark.parametrize("batch", [True, False])
def test_kicks_become_ioeventfds_in_the_load(start, tmp_path, args, edits, batch):
    """One of the random numbers' queue, four of the disk's; in one commit or one each."""
    path = disk.image(tmp_path / "image")
    args = [*disk.arguments(path, device=",num-queues=4"), *args]
    a = start("src", args=args, incoming=None, disk=2)
    b = start("dst", args=args)
    migration.set_capabilities(b, batch_vmstate_load=batch)
    migration.migrate(a, b)
    count = b.qmp.cmd("query-migrate")["blackout"]
    counts = [count.get(f"map-{what}", 0) for what in ("edits", "ioctls", "commits")]
    assert counts == [edits, edits, min(edits, 1) if batch else edits]
    rng.wait_answers(b)
