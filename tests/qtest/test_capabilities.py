# SPDX-License-Identifier: GPL-2.0-or-later
"""Capabilities and parameters: what can be set when, and what each of them does to a migration."""
import pytest

from godwit import migration, workload
from godwit.qmp import QMPError

UUIDS = ["11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-aaaaaaaaaaaa"]


def capabilities(vm):
    return {c["capability"]: c["state"] for c in vm.qmp.cmd("query-migrate-capabilities")}


@pytest.fixture
def idle(machines):
    return machines(machine="none").start()


def test_all_capabilities_are_off_at_first(idle):
    assert not any(capabilities(idle).values())


def test_a_capability_that_was_set_is_shown(idle):
    migration.set_capabilities(idle, events=True, return_path=True)
    on = [name for name, state in capabilities(idle).items() if state]
    assert sorted(on) == ["events", "return-path"]


def test_an_unknown_capability_is_named_in_the_error(idle):
    with pytest.raises(QMPError, match="Parameter 'capability' does not accept value 'bogus'"):
        migration.set_capabilities(idle, bogus=True)


def test_a_refused_set_changes_nothing(idle):
    with pytest.raises(QMPError, match="requires capability 'return-path'"):
        migration.set_capabilities(idle, events=True, switchover_ack=True)
    assert not any(capabilities(idle).values())


@pytest.mark.parametrize("values", [
    {"max-bandwidth": 0}, {"max-bandwidth": 123456789}, {"downtime-limit": 2000000},
    {"announce-rounds": 7, "announce-step": 1}, {"tls-creds": "x"},
    {"avail-switchover-bandwidth": 5 << 30}])
def test_a_parameter_reads_back_as_it_was_set(idle, values):
    idle.qmp.cmd("migrate-set-parameters", values)
    now = idle.qmp.cmd("query-migrate-parameters")
    assert {k: now[k] for k in values} == values


@pytest.mark.parametrize("values", [
    {"downtime-limit": 2000001}, {"announce-rounds": 1001}, {"announce-step": 10001},
    {"max-bandwidth": "much"}, {"no-such-parameter": 1}])
def test_a_parameter_out_of_range_changes_nothing(idle, values):
    before = idle.qmp.cmd("query-migrate-parameters")
    with pytest.raises(QMPError, match=next(iter(values))):
        idle.qmp.cmd("migrate-set-parameters", {"announce-max": 77, **values})
    assert idle.qmp.cmd("query-migrate-parameters") == before


def test_null_for_a_string_parameter_is_the_empty_string(idle):
    idle.qmp.cmd("migrate-set-parameters", {"tls-hostname": "x"})
    idle.qmp.cmd("migrate-set-parameters", {"tls-hostname": None})
    assert idle.qmp.cmd("query-migrate-parameters")["tls-hostname"] == ""


def test_without_events_no_migration_event_comes(pair):
    a, b = pair()
    migration.migrate(a, b)
    assert a.qmp.statuses() == b.qmp.statuses() == []


def test_a_capability_cannot_change_while_a_migration_runs(pair):
    a, b = pair()
    migration.set_capabilities(a, pause_before_switchover=True)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    migration.wait_status(a, "pre-switchover")
    with pytest.raises(QMPError, match="There's a migration process in progress"):
        migration.set_capabilities(a, events=True)


def test_events_tell_of_passes(pair):
    a, b = pair()
    migration.set_capabilities(a, events=True)
    migration.migrate(a, b)
    a.qmp.pump()
    passes = [e["data"]["pass"] for e in a.qmp.events if e["event"] == "MIGRATION_PASS"]
    assert passes and passes == sorted(passes)


def test_return_path_completes_when_the_destination_says_so(pair):
    a, b = pair()
    migration.set_capabilities(a, return_path=True)
    migration.set_capabilities(b, return_path=True)
    migration.migrate(a, b)
    workload.verify(b)


def test_pause_before_switchover_stops_the_guest_until_told_to_go_on(pair):
    a, b = pair()
    migration.set_capabilities(a, pause_before_switchover=True, events=True)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    a.qmp.wait_event("MIGRATION", status="pre-switchover")
    assert a.run_state() == "finish-migrate"
    assert b.run_state() == "inmigrate"
    with pytest.raises(QMPError, match="Migration not in expected state"):
        a.qmp.cmd("migrate-continue", {"state": "device"})
    a.qmp.cmd("migrate-continue", {"state": "pre-switchover"})
    migration.wait_moved(a, b)
    workload.verify(b)


def test_switchover_ack_lets_a_willing_destination_take_over(pair):
    a, b = pair()
    for vm in (a, b):
        migration.set_capabilities(vm, return_path=True, switchover_ack=True)
    migration.migrate(a, b)
    workload.verify(b)


def test_late_block_activate_does_not_hinder_a_move(pair):
    a, b = pair()
    for vm in (a, b):
        migration.set_capabilities(vm, late_block_activate=True)
    migration.migrate(a, b)
    workload.verify(b)


def uuid_pair(machines, destination_uuid, exit_on_error=True):
    a = machines(name="src", machine="none", args=["-uuid", UUIDS[0]]).start()
    b = machines(name="dst", machine="none", args=["-uuid", destination_uuid],
                 incoming="defer").start()
    for vm in (a, b):
        migration.set_capabilities(vm, validate_uuid=True)
    uri = f"unix:{b.dir}/migrate"
    b.qmp.cmd("migrate-incoming", {"uri": uri, "exit-on-error": exit_on_error})
    a.qmp.cmd("migrate", {"uri": uri})
    return a, b


def test_validate_uuid_accepts_the_same_uuid(machines):
    migration.wait_moved(*uuid_pair(machines, UUIDS[0]))


def test_validate_uuid_refuses_another_uuid(machines):
    _, b = uuid_pair(machines, UUIDS[1], exit_on_error=False)
    info = migration.wait_status(b, "failed", but=["completed"])
    assert UUIDS[0] in info["error-desc"]
    assert b.run_state() == "inmigrate"


def test_the_downtime_limit_zero_still_ends_for_a_guest_that_rests(pair):
    a, b = pair()
    a.qmp.cmd("stop")
    migration.set_parameters(a, downtime_limit=0, max_bandwidth=0)
    migration.migrate(a, b)
    b.qmp.cmd("cont")
    workload.verify(b)
