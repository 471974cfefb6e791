# SPDX-License-Identifier: GPL-2.0-or-later
"""batch-vmstate-load, and the account of the downtime: in precopy and in postcopy."""
import re

import pytest

from godwit import migration, postcopy, workload

SOURCE = {"stop", "dirty-sync", "device-save", "transfer"}
DESTINATION = {"decode", "apply", "start"}
BATCH = re.compile(r"loadvm_batch (\d+) sections in one transaction")


def batches(vm):
    return [int(n) for n in BATCH.findall(vm.stderr())]


def check_batched(vm, on):
    """All devices at once, or no batch at all."""
    sizes = batches(vm)
    assert len(sizes) == (1 if on else 0)
    if on:
        devices = vm.qmp.cmd("query-migrate")["blackout"]["devices"]
        assert sizes[0] == len(devices) > 1


@pytest.mark.parametrize("on", [False, True])
def test_precopy(pair, on):
    a, b = pair(destination=["-trace", "loadvm_*"])
    migration.set_capabilities(b, batch_vmstate_load=on)
    migration.migrate(a, b)
    workload.verify(b)
    check_batched(b, on)


@pytest.mark.parametrize("on", [False, True])
def test_the_package_of_a_postcopy(pair, on):
    a, b = pair(destination=["-trace", "loadvm_*"])
    migration.set_capabilities(b, batch_vmstate_load=on)
    postcopy.move(a, b, least=0)
    check_batched(b, on)


def test_the_downtime_is_accounted_for(pair):
    a, b = pair(source=["-trace", "migration_blackout"])
    assert "blackout" not in a.qmp.cmd("query-migrate")
    info = migration.migrate(a, b)
    out, inc = info["blackout"], b.qmp.cmd("query-migrate")["blackout"]
    assert SOURCE <= out.keys() and not DESTINATION & out.keys()
    assert DESTINATION <= inc.keys() and not {"stop", "device-save"} & inc.keys()
    parts = sum(v for k, v in out.items() if k not in ("devices", "map-edits"))
    assert parts / 1e6 <= info["downtime"] + 1  # ms, cut off
    names = {d["name"] for d in out["devices"]}
    assert names == {d["name"] for d in inc["devices"]} and "timer" in names
    assert all(d["save"] and d["bytes"] for d in out["devices"])
    assert "migration_blackout source: stop " in a.stderr()


@pytest.mark.kvm
def test_the_state_of_a_vcpu_is_fetched_early_and_pushed_once(pair):
    a, b = pair(cpus=2, source=["-trace", "vcpu_*"], destination=["-trace", "vcpu_*"])
    before = b.stderr().count("vcpu_push")
    migration.migrate(a, b)
    workload.verify(b)
    for n in range(2):
        assert a.stderr().count(f"vcpu_fetch_early vCPU {n}: done") == 1
    assert b.stderr().count("vcpu_push") == before + 2


def test_the_human_monitor_shows_it_by_device(pair):
    a, b = pair()
    migration.migrate(a, b)
    for vm in a, b:
        text = vm.qmp.cmd("human-monitor-command", {"command-line": "info migrate -a"})
        assert re.search(r"Blackout \(us\): \t\tstop=", text)
        assert re.search(r"  timer/0: \tsave=", text)
        assert "Blackout" not in vm.qmp.cmd("human-monitor-command",
                                            {"command-line": "info migrate"})
