# SPDX-License-Identifier: GPL-2.0-or-later
"""free-page-hint: memory that the guest calls free is not sent in the first pass, and what it
writes into that memory afterwards arrives all the same."""
import pytest

from godwit import balloon, migration, workload

pytestmark = pytest.mark.kvm
FREE = 48  # MiB of noise that the guest does not use
SLOW = 1 << 20  # bytes/s: the first pass lasts until the guest has told everything


@pytest.fixture
def start(machines):
    def make(name, incoming="defer", hint=True, props=""):
        vm = machines(name=name, machine="microvm,acpi=off,pic=off,pit=off", mem="96M",
                      incoming=incoming, args=balloon.arguments(hint, props),
                      **workload.guest(mem=20, free=FREE, report=50, sweep=0, rate=20)).start()
        if incoming is None:
            balloon.wait(vm, "set its balloon up", lambda r: r["hinting"] == hint)
        return vm

    return make


def begin(source, destination):
    uri = migration.listen(destination, f"unix:{destination.dir}/migrate")
    migration.set_parameters(source, max_bandwidth=SLOW)
    source.qmp.cmd("migrate", {"uri": uri})


def blocks():
    return FREE * 4  # of 64 pages


def hint_all(source, asked=1):
    """Until the guest has been asked that often, and each block came back."""
    base = balloon.records(source)[-1]["hinted"]
    return balloon.wait(source, "tell of its free pages",
                        lambda r: r["asked"] == asked and r["hinted"] >= base + blocks())


def finish(source, destination):
    migration.set_parameters(source, max_bandwidth=0)
    return migration.wait_moved(source, destination)


def test_free_pages_are_not_sent_but_what_is_written_into_them_is(start):
    a, b = start("src", incoming=None), start("dst")
    begin(a, b)
    hint_all(a)
    info = finish(a, b)
    # A page of each block is used again before its hint is taken, one after, one at the end.
    assert info["ram"]["transferred"] < (FREE * 3 // 4) << 20, info
    assert info["free-page-hint"]["hints"] >= blocks(), info
    assert info["free-page-hint"]["skipped-bytes"] >= (FREE * 3 // 4) << 20, info
    assert "Free-page hints: taken=" in a.qmp.cmd(
        "human-monitor-command", {"command-line": "info migrate"})
    balloon.wait(b, "find what it wrote", lambda r: r["done"] == 1 and r["verified"])


def test_without_hints_all_of_it_is_sent(start):
    a, b = start("src", incoming=None, hint=False), start("dst", hint=False)
    begin(a, b)
    info = finish(a, b)
    assert info["ram"]["transferred"] > FREE << 20, info
    assert "free-page-hint" not in info


def test_a_cancelled_move_gives_the_pages_back_and_the_next_asks_anew(start):
    a, b = start("src", incoming=None), start("dst")
    begin(a, b)
    hint_all(a)
    a.qmp.cmd("migrate_cancel")
    migration.wait_status(a, "cancelled")
    balloon.wait(a, "take its pages back", lambda r: r["done"] == 1 and r["verified"])
    b.close()
    c = start("dst2")
    begin(a, c)
    hint_all(a, asked=2)
    finish(a, c)
    balloon.wait(c, "find what it wrote", lambda r: r["done"] == 2 and r["verified"])


def test_with_postcopy_nobody_is_asked(start):
    a, b = start("src", incoming=None), start("dst")
    for vm in (a, b):
        migration.set_capabilities(vm, postcopy_ram=True)
    begin(a, b)
    info = finish(a, b)
    assert "free-page-hint" not in info
    assert balloon.wait(b, "say how often it was asked", lambda r: True)["asked"] == 0


def test_statistics_are_asked_for_and_shown(start):
    vm = start("vm", incoming=None, props=",guest-stats-polling-interval=1")
    path = {"path": "/machine/peripheral/balloon"}
    names = [p["name"] for p in vm.qmp.cmd("qom-list", path)]
    assert "guest-stats" in names
    assert {"name": "balloon", "type": "child<virtio-balloon-device>"} in \
        vm.qmp.cmd("qom-list", {"path": "/machine/peripheral"})
    balloon.wait(vm, "be asked for its statistics", lambda r: r["stats"] >= 1)
    stats = vm.qmp.cmd("qom-get", {**path, "property": "guest-stats"})
    assert stats["last-update"] > 0
    assert stats["stats"]["stat-free-memory"] == FREE << 20
    assert stats["stats"]["stat-swap-in"] >= 1  # how often it was asked
    assert stats["stats"]["stat-disk-caches"] == 2**64 - 1  # it does not tell
    interval = {**path, "property": "guest-stats-polling-interval"}
    assert vm.qmp.cmd("qom-get", interval) == 1
    vm.qmp.cmd("qom-set", {**interval, "value": 0})
    assert vm.qmp.cmd("qom-get", interval) == 0
