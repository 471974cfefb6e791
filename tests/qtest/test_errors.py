# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong is told once and clearly: in the reply or in error-desc, on stderr and in the exit
status. The source's guest goes on, and a second migrate succeeds."""
import os
import re
import socket
import struct

import pytest

from godwit import migration, workload
from godwit.machine import StartError
from godwit.qmp import QMPError

HEADER = struct.pack(">II", 0x5145564D, 3)
CONFIGURATION = b"\x07" + struct.pack(">I", 4) + b"none"


def ram_start(name, size, total):
    block = bytes([len(name)]) + name + struct.pack(">Q", size)
    return (b"\x01" + struct.pack(">I", 1) + b"\x03ram" + struct.pack(">II", 0, 4)
            + struct.pack(">Q", total | 4) + block)


RAM = ram_start(b"ram", 64 << 20, 64 << 20) + struct.pack(">Q", 0x10) + b"\x7e" + struct.pack(">I", 1)

# stream, what the error must speak of
BAD_STREAMS = {
    "empty file": (b"", ""),
    "wrong magic": (b"GARBAGE!" * 64, r"stream|magic"),
    "version 2": (struct.pack(">II", 0x5145564D, 2), "version|supported"),
    "version 99": (struct.pack(">II", 0x5145564D, 99), "version"),
    "no configuration section": (HEADER + RAM + b"\0", "[Cc]onfiguration"),
    "another machine": (HEADER + b"\x07" + struct.pack(">I", 7) + b"microvm", "microvm.*none"),
    "machine name of 4 GiB": (HEADER + b"\x07" + struct.pack(">I", 0xffffffff) + b"none", ""),
    "unknown section": (HEADER + CONFIGURATION + b"\x04" + struct.pack(">I", 9) + b"\x05bogus"
                        + struct.pack(">II", 0, 1), "bogus"),
    "unknown section type": (HEADER + CONFIGURATION + b"\x55", "55|85|type"),
    "unknown block": (HEADER + CONFIGURATION + ram_start(b"bogus", 64 << 20, 64 << 20), "bogus"),
    "block of another size": (HEADER + CONFIGURATION + ram_start(b"ram", 32 << 20, 32 << 20),
                              "0x2000000 != 0x4000000|size"),
    "part of a section that was not begun": (HEADER + CONFIGURATION + b"\x02"
                                             + struct.pack(">I", 77), "77|section"),
    "truncated in a page": (HEADER + CONFIGURATION + RAM + b"\x02" + struct.pack(">I", 1)
                            + struct.pack(">Q", 0x08) + b"\x03ram" + b"x" * 100, ""),
    "page beyond the block": (HEADER + CONFIGURATION + RAM + b"\x02" + struct.pack(">I", 1)
                              + struct.pack(">Q", (64 << 20) | 0x08) + b"\x03ram" + bytes(4096),
                              "offset|4000000"),
    "unknown command": (HEADER + CONFIGURATION + b"\x08" + struct.pack(">HH", 999, 0), "999|0x3e7"),
    "missing footer": (HEADER + CONFIGURATION + RAM[:-5] + b"\x04" * 5, "footer|section"),
    "no end": (HEADER + CONFIGURATION + RAM, ""),
}


def none_destination(machines, **kw):
    return machines(name="dst", machine="none", mem="64M", **kw)


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_a_bad_stream_fails_with_a_reason_and_leaves_the_destination_waiting(machines, name):
    stream, says = BAD_STREAMS[name]
    vm = none_destination(machines, incoming="defer").start()
    path = vm.dir / "state"
    path.write_bytes(stream)
    vm.qmp.cmd("migrate-incoming", {"uri": f"exec:cat {path}", "exit-on-error": False})
    info = migration.wait_status(vm, "failed", but=["completed"])
    assert info["error-desc"] and re.search(says, info["error-desc"]), info
    assert vm.run_state() == "inmigrate"


@pytest.mark.parametrize("name", ["wrong magic", "unknown block", "truncated in a page"])
def test_a_bad_stream_ends_the_process_with_status_1_and_a_message(machines, name):
    stream, says = BAD_STREAMS[name]
    vm = none_destination(machines)
    path = vm.dir / "state"
    path.write_bytes(stream)
    vm.argv += ["-incoming", f"exec:cat {path}"]
    vm.launch()
    assert vm.wait_exit() == 1
    assert vm.stderr().strip() and re.search(says, vm.stderr())


def test_an_incoming_side_that_failed_takes_a_second_migration(machines):
    a = machines(name="src", machine="none", mem="64M").start()
    b = none_destination(machines, incoming="defer").start()
    (b.dir / "state").write_bytes(b"GARBAGE!")
    b.qmp.cmd("migrate-incoming", {"uri": f"exec:cat {b.dir}/state", "exit-on-error": False})
    migration.wait_status(b, "failed", but=["completed"])
    migration.migrate(a, b)


@pytest.fixture
def source(machines):
    vm = machines(name="src", mem="64M", **workload.guest()).start()
    workload.wait_ready(vm)
    return vm


def check_goes_on(source, machines):
    source.wait_run_state("running")
    workload.verify(source)
    migration.set_parameters(source, max_bandwidth=0)
    there = machines(name="dst2", mem="64M", incoming="defer", **workload.guest()).start()
    migration.migrate(source, there)
    workload.verify(there)


def fail_to(source, uri):
    """The error's text, whether the command or the migration fails."""
    try:
        source.qmp.cmd("migrate", {"uri": uri})
    except QMPError as e:
        return e.desc
    return migration.wait_status(source, "failed", but=["completed"])["error-desc"]


def closed_port():
    s = socket.create_server(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    return port


UNREACHABLE = {
    "nobody listens on tcp": (lambda: f"tcp:127.0.0.1:{closed_port()}", "refused"),
    "nobody listens on unix": (lambda: "unix:/nonexistent/socket", "/nonexistent/socket.*No such"),
    "unknown host": (lambda: "tcp:no-such-host.invalid:4444", "no-such-host.invalid"),
    "unknown protocol": (lambda: "carrier-pigeon:home", "carrier-pigeon"),
    "no address": (lambda: "tcp:", ""),
    "no port": (lambda: "tcp:127.0.0.1", "127.0.0.1|port"),
    "port out of range": (lambda: "tcp:127.0.0.1:99999999", "99999999|port"),
    "unknown descriptor": (lambda: "fd:nothing", "nothing"),
    "file in a missing directory": (lambda: "file:/nonexistent/state", "/nonexistent"),
    "file offset that is no number": (lambda: "file:/tmp/x,offset=some", "offset"),
    "socket path too long": (lambda: "unix:/" + "x" * 200, "long"),
    "command that fails": (lambda: "exec:exit 3", ""),
    "command that is not there": (lambda: "exec:/nonexistent/command", ""),
}


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_source_that_cannot_reach_its_peer_says_so_and_goes_on(source, machines, name):
    uri, says = UNREACHABLE[name]
    error = fail_to(source, uri())
    assert error and re.search(says, error)
    check_goes_on(source, machines)


@pytest.mark.parametrize("arguments, says", [
    ({}, "uri|channels"),
    ({"uri": "unix:/x", "channels": []}, "uri|channels"),
    ({"channels": []}, "[Cc]hannel"),
    ({"uri": 7}, "uri.*string"),
    ({"uri": "unix:/x", "bogus": 1}, "bogus"),
    ({"uri": "unix:/x", "resume": True}, "resume")])
def test_migrate_refuses_wrong_arguments(machines, arguments, says):
    vm = machines(machine="none").start()
    with pytest.raises(QMPError, match=says):
        vm.qmp.cmd("migrate", arguments)
    assert "error-desc" not in vm.qmp.cmd("query-migrate")


def test_a_destination_of_another_size_refuses_and_the_source_goes_on(source, machines):
    there = machines(name="dst", mem="96M", incoming="defer", **workload.guest()).start()
    migration.set_capabilities(source, return_path=True)
    uri = f"unix:{there.dir}/migrate"
    there.qmp.cmd("migrate-incoming", {"uri": uri, "exit-on-error": False})
    source.qmp.cmd("migrate", {"uri": uri})
    info = migration.wait_status(there, "failed", but=["completed"])
    assert re.search("0x4000000", info["error-desc"])
    migration.wait_status(source, "failed", but=["completed"])
    migration.set_capabilities(source, return_path=False)
    check_goes_on(source, machines)


@pytest.mark.kvm
def test_a_destination_without_the_serial_port_names_the_section(source, machines):
    there = machines(name="dst", mem="64M", incoming="defer",
                     **dict(workload.guest(), serial=None)).start()
    uri = f"unix:{there.dir}/migrate"
    there.qmp.cmd("migrate-incoming", {"uri": uri, "exit-on-error": False})
    source.qmp.cmd("migrate", {"uri": uri})
    info = migration.wait_status(there, "failed", but=["completed"])
    assert "serial" in info["error-desc"]


def test_a_destination_that_dies_fails_the_migration_and_the_source_goes_on(source, machines):
    there = machines(name="dst", mem="64M", incoming="defer", **workload.guest()).start()
    migration.set_parameters(source, max_bandwidth=1 << 20)
    source.qmp.cmd("migrate", {"uri": migration.listen(there, f"unix:{there.dir}/migrate")})
    migration.wait_status(there, "active")
    there.process.kill()
    migration.set_parameters(source, max_bandwidth=0)
    info = migration.wait_status(source, "failed", but=["completed"])
    assert info["error-desc"]
    check_goes_on(source, machines)


def test_a_source_that_dies_ends_the_destination_with_status_1(machines):
    a = machines(name="src", mem="64M", **workload.guest()).start()
    b = machines(name="dst", mem="64M", incoming="defer", **workload.guest()).start()
    migration.set_parameters(a, max_bandwidth=1 << 20)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    migration.wait_status(b, "active")
    a.process.kill()
    assert b.wait_exit() == 1
    assert b.stderr().strip()


def test_a_second_migrate_while_one_runs_is_refused(pair):
    a, b = pair()
    migration.set_parameters(a, max_bandwidth=1 << 20)
    uri = migration.listen(b, f"unix:{b.dir}/migrate")
    a.qmp.cmd("migrate", {"uri": uri})
    with pytest.raises(QMPError, match="There's a migration process in progress"):
        a.qmp.cmd("migrate", {"uri": uri})
    migration.set_parameters(a, max_bandwidth=0)
    migration.wait_moved(a, b)


def test_a_guest_that_left_cannot_leave_again(pair):
    a, b = pair()
    migration.migrate(a, b)
    with pytest.raises(QMPError, match="paused due to previous migration"):
        a.qmp.cmd("migrate", {"uri": "unix:/nowhere"})


def test_a_waiting_destination_cannot_migrate(machines):
    vm = none_destination(machines, incoming="defer").start()
    with pytest.raises(QMPError, match="Guest is waiting for an incoming migration"):
        vm.qmp.cmd("migrate", {"uri": "unix:/nowhere"})


def test_migrate_incoming_needs_the_command_lines_consent(machines):
    vm = machines(machine="none").start()
    with pytest.raises(QMPError, match="'-incoming' was not specified on the command line"):
        vm.qmp.cmd("migrate-incoming", {"uri": "tcp:127.0.0.1:0"})


def test_migrate_incoming_twice_is_refused(machines):
    vm = none_destination(machines, incoming="defer").start()
    vm.qmp.cmd("migrate-incoming", {"uri": "tcp:127.0.0.1:0"})
    with pytest.raises(QMPError, match="The incoming migration has already been started"):
        vm.qmp.cmd("migrate-incoming", {"uri": "tcp:127.0.0.1:0"})


def test_a_port_in_use_is_named_and_another_can_be_tried(machines):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        vm = none_destination(machines, incoming="defer").start()
        with pytest.raises(QMPError, match="in use"):
            vm.qmp.cmd("migrate-incoming", {"uri": f"tcp:127.0.0.1:{port}"})
        vm.qmp.cmd("migrate-incoming", {"uri": "tcp:127.0.0.1:0"})


def test_a_port_in_use_on_the_command_line_ends_the_process(machines):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        vm = none_destination(machines, incoming=f"tcp:127.0.0.1:{port}")
        with pytest.raises(StartError, match="in use"):
            vm.start()
        assert vm.process.wait() == 1


def test_a_missing_incoming_file_is_named(machines):
    vm = none_destination(machines, incoming="defer").start()
    with pytest.raises(QMPError, match="/nonexistent/state.*No such file"):
        vm.qmp.cmd("migrate-incoming", {"uri": "file:/nonexistent/state"})


def test_a_full_disk_fails_the_migration_and_the_source_goes_on(source, machines):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    migration.set_parameters(source, max_bandwidth=0)
    assert fail_to(source, "exec:cat > /dev/full")
    check_goes_on(source, machines)
