# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that dirties memory faster than it is sent: what makes the migration end all the same."""
import re
import time

import pytest

from godwit import migration, workload
from godwit.qmp import QMPError

SLOW = 24 << 20  # bytes/s: less than the guest writes


def begin(source, destination, **parameters):
    """Starts a migration that cannot keep up with the guest."""
    migration.set_parameters(source, max_bandwidth=SLOW, downtime_limit=1, **parameters)
    source.qmp.cmd("migrate", {"uri": migration.listen(destination,
                                                       f"unix:{destination.dir}/migrate")})


def wait_info(machine, ready, timeout=60):
    """Polls query-migrate until ready(reply); the reply."""
    end = time.monotonic() + timeout
    while True:
        info = migration.wait_status(machine, "active", "setup")
        if ready(info):
            return info
        assert time.monotonic() < end, f"{machine.name}: {info}"
        time.sleep(0.005)


def finish(source, destination):
    migration.set_parameters(source, max_bandwidth=0, downtime_limit=300)
    info = migration.wait_moved(source, destination)
    workload.verify(destination)
    return info


def throttled(info):
    return info.get("cpu-throttle-percentage", 0) > 0


@pytest.fixture
def busy(pair):
    """A small guest that writes much."""
    return pair(ram="48M", mem=16, pattern="random", write=100)


def test_auto_converge_slows_the_guest_and_lets_it_go(busy):
    a, b = busy
    migration.set_capabilities(a, auto_converge=True)
    begin(a, b, cpu_throttle_initial=60)
    info = wait_info(a, throttled)
    assert info["cpu-throttle-percentage"] == 60
    assert re.search(r"^CPU Throttle \(%\): [1-9]", a.hmp("info migrate -a"), re.M)
    assert "cpu-throttle-percentage" not in finish(a, b)


def test_a_cancelled_migration_leaves_no_throttle(busy):
    a, b = busy
    migration.set_capabilities(a, auto_converge=True)
    begin(a, b, cpu_throttle_initial=99)
    wait_info(a, throttled)
    a.qmp.cmd("migrate_cancel")
    migration.wait_status(a, "cancelled")
    assert "cpu-throttle-percentage" not in a.qmp.cmd("query-migrate")
    workload.verify(a)  # at 99 percent it would take a hundred times as long


def background(info):
    return info.get("background-sync", {})


@pytest.mark.parametrize("on", [True, False])
def test_background_sync_slows_the_guest_in_mid_pass(pair, on):
    a, b = pair(ram="48M", mem=16, pattern="random", write=100,
                source=["-trace", "migration_background_sync*"])
    migration.set_capabilities(a, auto_converge=True, background_sync=on)
    begin(a, b, background_sync_interval=20, background_sync_first_pass=True)
    info = wait_info(a, (lambda i: background(i).get("throttle-changes")) if on else
                     (lambda i: i["status"] == "active" and i["ram"]["dirty-sync-count"] > 1))
    if on:
        assert throttled(info)
        assert background(info)["time"] > 0
        assert info["ram"]["dirty-sync-count"] == 1  # still the first pass
        assert "Background sync:" in a.hmp("info migrate")
    else:
        assert not throttled(info) and not background(info)
    finish(a, b)
    assert ("migration_background_sync_watcher_start" in a.stderr()) == on
    assert ("migration_background_sync_watcher_end" in a.stderr()) == on


def test_background_sync_leaves_the_first_pass_alone(busy):
    a, b = busy
    migration.set_capabilities(a, auto_converge=True, background_sync=True)
    begin(a, b, background_sync_interval=20)
    info = wait_info(a, lambda i: background(i).get("syncs"))
    assert info["ram"]["dirty-sync-count"] > 1
    finish(a, b)


def test_background_sync_says_what_it_needs(machines):
    vm = machines(machine="none").start()
    with pytest.raises(QMPError, match="'background-sync' requires capability 'auto-converge'"):
        migration.set_capabilities(vm, background_sync=True)


@pytest.mark.parametrize("values, message", [
    ({"max-cpu-throttle": 19}, "max-cpu-throttle expects .* cpu-throttle-initial to 99"),
    ({"cpu-throttle-initial": 100}, "cpu-throttle-initial expects .* 1 to 99"),
    ({"throttle-trigger-threshold": 0}, "throttle-trigger-threshold expects .* 1 to 100")])
def test_throttle_parameters_have_qemus_limits(machines, values, message):
    vm = machines(machine="none").start()
    with pytest.raises(QMPError, match=message):
        vm.qmp.cmd("migrate-set-parameters", values)


def limits(machine):
    return {v["cpu-index"]: v for v in machine.qmp.cmd("query-vcpu-dirty-limit")}


def wait_rate(machine, cpu, least, most, timeout=60):
    """Until that vCPU dirties between `least` and `most` MB/s."""
    end = time.monotonic() + timeout
    while not least <= limits(machine)[cpu]["current-rate"] <= most:
        assert time.monotonic() < end, limits(machine)
        time.sleep(0.02)


def test_a_limited_vcpu_dirties_what_it_may(machines):
    vm = machines(**workload.guest(pattern="random", write=100, mem=32, cpus=2), mem="64M",
                  cpus=2).start()
    workload.wait_ready(vm)
    assert limits(vm) == {}
    assert "not enabled" in vm.hmp("info vcpu_dirty_limit")
    migration.set_parameters(vm, x_vcpu_dirty_limit_period=100)
    vm.qmp.cmd("set-vcpu-dirty-limit", {"cpu-index": 1, "dirty-rate": 8})
    assert list(limits(vm)) == [1] and limits(vm)[1]["limit-rate"] == 8
    wait_rate(vm, 1, 1, 9)
    vm.hmp("set_vcpu_dirty_limit 1000 0")
    assert [v["limit-rate"] for v in limits(vm).values()] == [1000, 8]
    assert "vcpu[1], limit rate 8 (MB/s)" in vm.hmp("info vcpu_dirty_limit")
    vm.qmp.cmd("cancel-vcpu-dirty-limit", {"cpu-index": 0})
    assert list(limits(vm)) == [1]
    with pytest.raises(QMPError, match="vCPU 2 does not exist"):
        vm.qmp.cmd("set-vcpu-dirty-limit", {"cpu-index": 2, "dirty-rate": 8})
    vm.qmp.cmd("cancel-vcpu-dirty-limit")
    assert limits(vm) == {}
    workload.verify(vm)


def test_dirty_limit_lets_a_migration_get_ahead(busy):
    a, b = busy
    migration.set_capabilities(a, dirty_limit=True, background_sync=True)
    begin(a, b, background_sync_interval=20, background_sync_first_pass=True, vcpu_dirty_limit=3,
          x_vcpu_dirty_limit_period=100)
    info = wait_info(a, lambda i: "dirty-limit-throttle-time-per-round" in i)
    assert limits(a)[0]["limit-rate"] == 3
    assert "dirty-limit throttle time" in a.hmp("info migrate -a")
    assert not throttled(info)
    finish(a, b)
    assert limits(a) == {}


def test_dirty_limit_says_what_it_needs(machines):
    vm = machines(machine="none").start()
    with pytest.raises(QMPError, match="dirty-limit requires KVM with accelerator property"):
        migration.set_capabilities(vm, dirty_limit=True)
    with pytest.raises(QMPError, match="dirty-limit conflicts with auto-converge"):
        migration.set_capabilities(vm, dirty_limit=True, auto_converge=True)
    with pytest.raises(QMPError, match="must be greater than 1 MB/s"):
        migration.set_parameters(vm, vcpu_dirty_limit=0)
    with pytest.raises(QMPError, match="dirty page limit feature requires KVM"):
        vm.qmp.cmd("set-vcpu-dirty-limit", {"dirty-rate": 8})
    assert limits(vm) == {}
    vm.qmp.cmd("cancel-vcpu-dirty-limit")
