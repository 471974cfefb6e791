# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitors: the schema, the queries and the human monitor tell the same story; wrong input gets
an error and nothing else."""
import json
import re
import socket

import pytest

from godwit import migration, workload
from godwit.qmp import QMP, QMPClosed, QMPError


@pytest.fixture
def vm(machines):
    return machines(machine="none").start()


@pytest.fixture
def schema(vm):
    return Schema(vm.qmp.cmd("query-qmp-schema"))


class Schema:
    def __init__(self, entries):
        self.entries = {e["name"]: e for e in entries}

    def commands(self):
        return {n for n, e in self.entries.items() if e["meta-type"] == "command"}

    def arguments(self, command):
        return {m["name"]: m for m in self.entries[self.entries[command]["arg-type"]]["members"]}

    def enum(self, type_name):
        entry = self.entries[type_name]
        return [m["name"] for m in entry["members"]] if "members" in entry else entry["values"]


def test_the_schema_has_exactly_the_commands_that_there_are(vm, schema):
    assert schema.commands() == {c["name"] for c in vm.qmp.cmd("query-commands")}


def test_every_type_that_the_schema_speaks_of_is_in_it(schema):
    def types(value):
        if isinstance(value, dict):
            for k, v in value.items():
                if k in ("type", "arg-type", "ret-type", "element-type", "tag-type"):
                    yield v
                yield from types(v)
        elif isinstance(value, list):
            for v in value:
                yield from types(v)

    for entry in schema.entries.values():
        members = {k: v for k, v in entry.items() if k != "name"}
        for name in types(members):
            assert name in schema.entries, (entry["name"], name)


def test_capabilities_agree_in_schema_query_and_hmp(vm, schema):
    array = schema.arguments("migrate-set-capabilities")["capabilities"]["type"]
    element = schema.entries[array]["element-type"]
    member = {m["name"]: m for m in schema.entries[element]["members"]}["capability"]
    in_schema = schema.enum(member["type"])
    in_query = [c["capability"] for c in vm.qmp.cmd("query-migrate-capabilities")]
    in_hmp = re.findall(r"^(\S+): (?:on|off)$", vm.hmp("info migrate_capabilities"), re.M)
    assert in_schema == in_query == in_hmp


def test_parameters_agree_in_schema_query_and_hmp(vm, schema):
    in_schema = set(schema.arguments("migrate-set-parameters"))
    in_query = set(vm.qmp.cmd("query-migrate-parameters"))
    in_hmp = set(re.findall(r"^(\S+): ", vm.hmp("info migrate_parameters"), re.M))
    assert in_schema == in_query == in_hmp


# Each goes with none of the others that it names.
CONFLICTS = {"dirty-limit": {"auto-converge"}, "x-ignore-shared": {"postcopy-ram"}}
NEEDS = ("return-path", "auto-converge", "postcopy-ram")


def test_every_capability_can_be_set_from_hmp(vm):
    names = [c["capability"] for c in vm.qmp.cmd("query-migrate-capabilities")]
    for name in sorted((n for n in names if n not in CONFLICTS), key=lambda n: n not in NEEDS):
        assert vm.hmp(f"migrate_set_capability {name} on") == ""
    assert {c["capability"] for c in vm.qmp.cmd("query-migrate-capabilities")
            if not c["state"]} == set(CONFLICTS)
    vm.qmp.cmd("migrate-set-capabilities", {"capabilities": [
        {"capability": name, "state": False} for name in names]})
    for name, others in CONFLICTS.items():
        answer = vm.hmp(f"migrate_set_capability {name} on")
        if "requires KVM" in answer:
            continue  # a machine without vCPUs that could be told apart
        assert answer == ""
        for other in others:
            assert vm.hmp(f"migrate_set_capability {other} on").startswith("Error: ")


def test_a_parameter_set_from_hmp_is_seen_over_qmp(vm):
    assert vm.hmp("migrate_set_parameter downtime-limit 55") == ""
    assert vm.hmp("migrate_set_parameter max-bandwidth 7") == ""
    now = vm.qmp.cmd("query-migrate-parameters")
    assert (now["downtime-limit"], now["max-bandwidth"]) == (55, 7 << 20)


def test_an_error_in_hmp_is_a_line_that_says_so(vm):
    assert vm.hmp("migrate_set_capability bogus on").startswith("Error: ")
    assert "bogus" in vm.hmp("migrate_set_parameter bogus 1")
    assert "unknown command: 'bogus'" in vm.hmp("bogus")


def test_help_has_the_migration_commands(vm):
    text = vm.hmp("help")
    for word in ("migrate ", "migrate_cancel", "migrate_set_capability", "migrate_incoming",
                 "pmemsave", "quit"):
        assert word in text


def test_info_migrate_is_empty_at_first_and_tells_the_end_after(pair):
    a, b = pair()
    assert a.hmp("info migrate").strip() == ""
    uri = migration.listen(b, f"unix:{b.dir}/migrate")
    assert a.hmp(f"migrate -d {uri}") == ""
    migration.wait_moved(a, b)
    assert re.search(r"^Status:\s+completed$", a.hmp("info migrate"), re.M)


def test_info_status_follows_stop_and_cont(pair):
    a, _ = pair()
    assert "running" in a.hmp("info status")
    a.hmp("stop")
    assert "paused" in a.hmp("info status")
    a.hmp("cont")
    assert a.run_state() == "running"


def test_xp_shows_what_pmemsave_saves(machines):
    vm = machines(machine="none").start()
    line = vm.hmp("xp /2wx 0x1000")
    assert re.match(r"0*1000: 0x00000000 0x00000000", line)
    assert vm.pmemsave(0x1000, 8) == bytes(8)


def test_stop_and_cont_raise_events_once_each(vm):
    vm.qmp.cmd("stop")
    vm.qmp.cmd("stop")
    vm.qmp.cmd("cont")
    vm.qmp.cmd("cont")
    vm.qmp.pump()
    names = [e["event"] for e in vm.qmp.events if e["event"] in ("STOP", "RESUME")]
    assert names == ["STOP", "RESUME"]
    assert all("timestamp" in e for e in vm.qmp.events)


def test_the_greeting_has_a_version_and_oob(vm):
    greeting = vm.qmp.greeting["QMP"]
    assert {"major", "minor", "micro"} == set(greeting["version"]["qemu"])
    assert "oob" in greeting["capabilities"]
    assert vm.qmp.cmd("query-version")["qemu"] == greeting["version"]["qemu"]


def connect(vm):
    s = socket.socket(socket.AF_UNIX)
    s.connect(f"{vm.dir}/qmp2")
    return QMP(s, negotiate=False)


@pytest.fixture
def second(machines):
    """A machine with a further monitor that has not negotiated."""
    made = machines(machine="none")
    made.argv += ["-qmp", f"unix:{made.dir}/qmp2,server=on,wait=off"]
    made.start()
    qmp = connect(made)
    yield qmp
    qmp.close()


def test_no_command_works_before_negotiation(second):
    with pytest.raises(QMPError, match="qmp_capabilities") as e:
        second.cmd("query-status")
    assert e.value.error_class == "CommandNotFound"
    second.cmd("qmp_capabilities")
    assert second.cmd("query-status")["status"]


def test_oob_must_be_enabled_before_it_is_used(second):
    second.cmd("qmp_capabilities", {"enable": ["oob"]})
    reply = second.cmd_raw({"exec-oob": "migrate-pause", "id": "x"})
    assert reply["id"] == "x" and "error" in reply


def test_two_monitors_do_not_mix_up_their_replies(machines):
    vm = machines(machine="none")
    vm.argv += ["-qmp", f"unix:{vm.dir}/qmp2,server=on,wait=off"]
    vm.start()
    other = connect(vm)
    other.cmd("qmp_capabilities")
    vm.qmp.send_raw(b'{"execute": "query-name", "id": "one"}\n')
    assert other.cmd_raw({"execute": "query-status", "id": "two"})["id"] == "two"
    assert vm.qmp.read(30)["id"] == "one"
    other.close()


@pytest.mark.parametrize("ident", [7, "seven", [7], {"a": 7}, None, 1.5])
def test_an_id_comes_back_as_it_was(vm, ident):
    assert vm.qmp.cmd_raw({"execute": "query-status", "id": ident})["id"] == ident


@pytest.mark.parametrize("text, error_class", [
    (b'{"execute": "bogus"}', "CommandNotFound"),
    (b'{"arguments": {}}', "GenericError"),
    (b'{"execute": 7}', "GenericError"),
    (b'{"execute": "query-status", "bogus": 1}', "GenericError"),
    (b'{"execute": "query-status", "arguments": 7}', "GenericError"),
    (b'{"execute": "query-status", "arguments": {"a": 1}}', "GenericError"),
    (b"[1, 2]", "GenericError"), (b"7", "GenericError"), (b"{nonsense}", "GenericError"),
    (b'"\xff\xfe"', "GenericError")])
def test_wrong_input_gets_an_error_and_the_monitor_goes_on(vm, text, error_class):
    vm.qmp.send_raw(text + b"\n")
    reply = vm.qmp.read(30)
    assert reply["error"]["class"] == error_class and reply["error"]["desc"]
    while (more := vm.qmp.read(0.1)) is not None:
        assert "error" in more
    assert vm.qmp.cmd("query-status")["status"]


def test_deep_nesting_is_refused(vm):
    vm.qmp.send_raw(b"[" * 5000 + b"\n")
    assert "error" in vm.qmp.read(30)
    while vm.qmp.read(0.2) is not None:
        pass
    vm.qmp.send_raw(b"]" * 5000 + b"\n")
    while vm.qmp.read(0.2) is not None:
        pass
    assert vm.qmp.cmd("query-status")["status"]


def test_a_client_that_leaves_in_a_command_does_no_harm(machines):
    vm = machines(machine="none")
    vm.argv += ["-qmp", f"unix:{vm.dir}/qmp2,server=on,wait=off"]
    vm.start()
    for _ in range(3):
        other = connect(vm)
        other.send_raw(b'{"execute": "qmp_cap')
        other.close()
    other = connect(vm)
    other.cmd("qmp_capabilities")
    assert other.cmd("query-status")["status"]
    other.close()


def test_getfd_needs_a_descriptor_and_closefd_a_name(vm):
    with pytest.raises(QMPError, match="[Ff]ile descriptor"):
        vm.qmp.cmd("getfd", {"fdname": "none"})
    with pytest.raises(QMPError, match="none"):
        vm.qmp.cmd("closefd", {"fdname": "none"})


def test_pmemsave_to_a_place_that_is_not_there_is_an_error(vm):
    with pytest.raises(QMPError, match="/nonexistent"):
        vm.qmp.cmd("pmemsave", {"val": 0, "size": 4096, "filename": "/nonexistent/x"})


def test_quit_ends_the_process_with_status_0(vm):
    vm.qmp.cmd("quit")
    assert vm.wait_exit() == 0
    with pytest.raises(QMPClosed):
        while vm.qmp.read(30):
            pass


def test_sigterm_ends_the_process_with_status_0(machines):
    vm = machines(mem="64M", **workload.guest()).start()
    vm.process.terminate()
    assert vm.wait_exit() == 0


def test_names_and_machines(machines):
    vm = machines(name="wader", machine="none",
                  args=["-uuid", "11111111-2222-3333-4444-555555555555"]).start()
    assert vm.qmp.cmd("query-name")["name"] == "wader"
    assert vm.qmp.cmd("query-uuid")["UUID"] == "11111111-2222-3333-4444-555555555555"
    names = {m["name"] for m in vm.qmp.cmd("query-machines")}
    assert {"none", "microvm"} <= names


def test_query_cpus_fast_has_one_entry_for_each_vcpu(machines):
    vm = machines(mem="64M", cpus=2, **workload.guest(cpus=2)).start()
    assert [c["cpu-index"] for c in vm.qmp.cmd("query-cpus-fast")] == [0, 1]


def test_replies_are_one_json_object_a_line(vm):
    vm.qmp.send_raw(b'{"execute": "query-version"}\n')
    assert json.dumps(vm.qmp.read(30))
    assert vm.qmp.buffer == b""
