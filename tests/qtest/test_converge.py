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
