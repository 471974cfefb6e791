# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's disk traffic goes on across moves, every byte of it checked by the guest, and of two
sides one at most can write the image."""
import pytest

from godwit import disk, migration, postcopy, workload
from godwit.machine import StartError
from godwit.qmp import QMPError

pytestmark = pytest.mark.kvm
BOARD = "microvm,acpi=off,pic=off,pit=off"


@pytest.fixture
def start(machines, tmp_path):
    """A maker of machines with the guest's disk, `image` by default the same for all of them."""
    def make(name, incoming="defer", machine=BOARD, args=(), ready=True, traffic=8,
             **options):
        path = tmp_path / "image"
        if not path.exists():
            disk.image(path)
        vm = machines(name=name, machine=machine, mem="64M", incoming=incoming,
                      args=[*disk.arguments(path, **options), *args],
                      **workload.guest(mem=8, disk=traffic, report=50, sweep=0)).start()
        if ready and incoming is None:
            disk.wait_passes(vm)
        return vm

    return make


SHAPES = {
    "legacy": {},
    "modern": {"layout": "modern"},
    "modern, four queues, O_DIRECT": {"layout": "modern", "drive": ",cache=none",
                                      "device": ",num-queues=4"},
    "legacy, in place": {"drive": ",aio=threads"},
    "modern, ACPI's 24 transports": {"layout": "modern", "machine": "microvm"},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_disk_traffic_goes_on_across_moves(start, shape):
    here = start("hop0", incoming=None, **SHAPES[shape])
    for hop in range(1, 1 + postcopy.repeats(4)):
        there = start(f"hop{hop}", **SHAPES[shape])
        migration.set_parameters(here, max_bandwidth=0)
        migration.migrate(here, there)
        disk.wait_passes(there)
        here.close()
        here = there


def test_disk_traffic_goes_on_in_a_postcopy(start):
    a, b = start("src", incoming=None), start("dst")
    postcopy.enable(a, b, "everything", background=64 << 20)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    a.qmp.cmd("migrate-start-postcopy")
    migration.wait_moved(a, b)
    disk.wait_passes(b)


def test_a_cancelled_migration_leaves_the_disk_to_the_source(start):
    a, b = start("src", incoming=None), start("dst")
    migration.set_parameters(a, max_bandwidth=1 << 20)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    migration.wait_status(a, "active")
    a.qmp.cmd("migrate_cancel")
    migration.wait_status(a, "cancelled", but=())
    disk.wait_passes(a)


def test_one_side_only_has_the_image(start):
    a = start("src", incoming=None)
    with pytest.raises(StartError, match="(?s)Failed to get \"write\" lock on disk0.*share-rw"):
        start("second", incoming=None, ready=False)
    b = start("dst", args=["-S"])
    migration.migrate(a, b)
    # Nobody has it now: the source may go on as long as the destination has not begun.
    b.qmp.cmd("cont")
    disk.wait_passes(b)
    with pytest.raises(QMPError, match="Failed to get \"write\" lock"):
        a.qmp.cmd("cont")
    assert a.run_state() == "postmigrate"


def test_a_source_that_goes_on_takes_its_image_back(start):
    a, b = start("src", incoming=None), start("dst", args=["-S"])
    migration.migrate(a, b)
    a.qmp.cmd("cont")
    disk.wait_passes(a)
    with pytest.raises(QMPError, match="Failed to get \"write\" lock"):
        b.qmp.cmd("cont")


@pytest.mark.parametrize("mine, message", [
    ({"layout": "modern"}, "extra_state: the source's transport is of version 1"),
    ({"device": ",num-queues=2"}, "nr_queues: the source has 1 queues, this device 2"),
], ids=["version", "queues"])
def test_a_disk_that_differs_is_refused_by_name(start, mine, message):
    a, b = start("src", incoming=None), start("dst", **mine)
    for vm in (a, b):
        migration.set_capabilities(vm, return_path=True)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    migration.wait_status(a, "failed", but=("completed",))
    b.wait_exit()
    assert message in b.stderr()
    disk.wait_passes(a)


FLUSH = ["-trace", "block_image_flush"]


def flushes(vm):
    return vm.stderr().count("block_image_flush disk0: done")


def test_what_was_written_is_flushed_before_the_guest_goes(start):
    here, seen = start("hop0", incoming=None, args=FLUSH), 0
    for hop in range(1, 4):  # the guest may have flushed just before, but not three times
        there = start(f"hop{hop}", args=FLUSH)
        migration.migrate(here, there)
        disk.wait_passes(there)
        seen += flushes(here)
        here = there
    assert seen


def test_nobody_waits_for_a_disk_that_was_not_written(start):
    a = start("src", incoming=None, ready=False, args=FLUSH, traffic=0)
    workload.wait_ready(a)
    migration.migrate(a, start("dst", args=FLUSH, traffic=0))
    assert flushes(a) == 0


def test_drives_are_listed(start, tmp_path):
    vm = start("vm", incoming=None, ready=False, drive=",cache=none", device=",id=first")
    drive, = vm.qmp.cmd("query-block")
    assert (drive["device"], drive["qdev"]) == ("disk0", "first")
    inserted = drive["inserted"]
    assert inserted["file"] == str(tmp_path / "image") and not inserted["ro"]
    assert inserted["image"]["virtual-size"] == disk.MIB
    assert inserted["cache"] == {"writeback": True, "direct": True, "no-flush": False}
    text = vm.qmp.cmd("human-monitor-command", {"command-line": "info block"})
    assert "Attached to:      first" in text and "writeback, direct" in text
