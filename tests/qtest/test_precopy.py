# SPDX-License-Identifier: GPL-2.0-or-later
"""A running guest moves: over every transport, and in every shape that a guest may have. After each
move the guest itself verifies all of its memory."""
import os
import socket

import pytest

from godwit import environment, migration, workload


def check_moved(a, b):
    info = migration.wait_moved(a, b)
    assert info["ram"]["remaining"] == 0
    assert a.run_state() == "postmigrate"
    workload.verify(b)
    return info


def move(a, b, uri):
    a.qmp.cmd("migrate", {"uri": migration.listen(b, uri)})
    return check_moved(a, b)


def test_moves_over_tcp_with_ipv4(pair):
    move(*pair(), "tcp:127.0.0.1:0")


def test_moves_over_tcp_with_ipv6(pair):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as e:
        pytest.skip(f"no IPv6 on loopback: {e}")
    move(*pair(), "tcp:[::1]:0")


def test_moves_over_a_unix_socket(pair):
    a, b = pair()
    move(a, b, f"unix:{b.dir}/migrate")


def test_moves_over_descriptors_given_with_getfd(pair):
    a, b = pair()
    ours, theirs = socket.socketpair()
    a.qmp.cmd("getfd", {"fdname": "way-out"}, fds=[ours.fileno()])
    b.qmp.cmd("getfd", {"fdname": "way-in"}, fds=[theirs.fileno()])
    ours.close()
    theirs.close()
    b.qmp.cmd("migrate-incoming", {"uri": "fd:way-in"})
    a.qmp.cmd("migrate", {"uri": "fd:way-out"})
    check_moved(a, b)


def test_moves_over_an_inherited_descriptor(machines):
    ours, theirs = socket.socketpair()
    a = machines(name="src", mem="64M", pass_fds=[ours.fileno()], **workload.guest()).start()
    b = machines(name="dst", mem="64M", pass_fds=[theirs.fileno()],
                 incoming=f"fd:{theirs.fileno()}", **workload.guest()).start()
    workload.wait_ready(a)
    number = ours.fileno()
    ours.close()
    theirs.close()
    a.qmp.cmd("migrate", {"uri": f"fd:{number}"})
    check_moved(a, b)


def test_moves_through_commands(pair):
    a, b = pair()
    fifo = b.dir / "fifo"
    os.mkfifo(fifo)
    b.qmp.cmd("migrate-incoming", {"uri": f"exec:cat {fifo}"})
    a.qmp.cmd("migrate", {"uri": f"exec:cat > {fifo}"})
    check_moved(a, b)


@pytest.mark.parametrize("offset", ["", ",offset=0x2000"])
def test_moves_through_a_file(pair, offset):
    a, b = pair()
    uri = f"file:{b.dir}/state{offset}"
    a.qmp.cmd("migrate", {"uri": uri})
    migration.wait_status(a, "completed")
    b.qmp.cmd("migrate-incoming", {"uri": uri})
    check_moved(a, b)


def test_moves_through_a_file_of_an_fd_set(pair):
    a, b = pair()
    path = b.dir / "state"
    for vm in (a, b):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        number = vm.qmp.cmd("add-fd", fds=[fd])["fdset-id"]
        os.close(fd)
        vm.uri = f"file:/dev/fdset/{number}"
    a.qmp.cmd("migrate", {"uri": a.uri})
    migration.wait_status(a, "completed")
    b.qmp.cmd("migrate-incoming", {"uri": b.uri})
    check_moved(a, b)


CHANNELS = {
    "inet": {"transport": "socket", "type": "inet", "host": "127.0.0.1", "port": "0"},
    "unix": {"transport": "socket", "type": "unix", "path": "{dir}/migrate"},
    "exec": {"transport": "exec", "args": ["/bin/sh", "-c", "cat {redirect} {dir}/fifo"]},
    "file": {"transport": "file", "filename": "{dir}/state", "offset": 4096},
}


def channel(kind, directory, redirect):
    def fill(value):
        if isinstance(value, str):
            return value.format(dir=directory, redirect=redirect)
        return [fill(v) for v in value] if isinstance(value, list) else value
    return [{"channel-type": "main", "addr": {k: fill(v) for k, v in CHANNELS[kind].items()}}]


@pytest.mark.parametrize("kind", CHANNELS)
def test_moves_with_channels_instead_of_a_uri(pair, kind):
    a, b = pair()
    incoming, outgoing = channel(kind, b.dir, ""), channel(kind, b.dir, ">")
    if kind == "exec":
        os.mkfifo(b.dir / "fifo")
    if kind == "file":
        a.qmp.cmd("migrate", {"channels": outgoing})
        migration.wait_status(a, "completed")
    b.qmp.cmd("migrate-incoming", {"channels": incoming})
    if kind == "inet":
        port = b.qmp.cmd("query-migrate")["socket-address"][0]["port"]
        assert int(port) > 0
        outgoing[0]["addr"]["port"] = port
    if kind != "file":
        a.qmp.cmd("migrate", {"channels": outgoing})
    check_moved(a, b)


def test_moves_to_an_address_on_the_command_line(machines):
    a = machines(name="src", mem="64M", **workload.guest()).start()
    b = machines(name="dst", mem="64M", incoming="tcp:127.0.0.1:0", **workload.guest()).start()
    workload.wait_ready(a)
    address = b.qmp.cmd("query-migrate")["socket-address"][0]
    a.qmp.cmd("migrate", {"uri": f"tcp:127.0.0.1:{address['port']}"})
    check_moved(a, b)


def test_fifty_moves_in_a_row_lose_nothing(machines):
    def make(hop, incoming=None):
        return machines(name=f"hop{hop}", mem="16M", incoming=incoming,
                        **workload.guest(mem=8, rate=20)).start()

    here = make(0)
    workload.wait_ready(here)
    for hop in range(1, 51):
        there = make(hop, "defer")
        migration.set_parameters(here, max_bandwidth=0)
        migration.migrate(here, there)
        here.close()
        here = there
        if hop % 10 == 0:
            workload.verify(here)


@pytest.mark.kvm
@pytest.mark.parametrize("pattern", ["idle", "seq", "reverse", "stride", "stream", "dirty"])
def test_moves_while_the_guest_works_by(pair, pattern):
    a, b = pair(pattern=pattern, mem=24, rate=200)
    migration.set_parameters(a, max_bandwidth=0)
    migration.migrate(a, b)
    workload.verify(b)


@pytest.mark.kvm
def test_pages_that_become_zero_again_arrive_as_zero(pair):
    a, b = pair(fill="mixed", pattern="seq", write=100)
    migration.set_parameters(a, max_bandwidth=0)
    info = migration.migrate(a, b)
    assert info["ram"]["duplicate"] > 0
    workload.verify(b)


def test_moves_with_two_vcpus(pair):
    a, b = pair(cpus=2)
    migration.set_parameters(a, max_bandwidth=0)
    migration.migrate(a, b)
    workload.verify(b)


@pytest.mark.kvm
def test_moves_with_memory_above_4_gib(pair):
    a, b = pair(ram="3300M", skip=3050)
    end = int(a.guest.wait_hello()["last"])
    assert end > 4 << 30
    migration.set_parameters(a, max_bandwidth=0)
    migration.migrate(a, b)
    workload.verify(b)


def test_a_paused_guest_arrives_paused_and_goes_on_with_cont(pair):
    a, b = pair()
    a.qmp.cmd("stop")
    before = a.pmemsave(0x400000, 32 << 20)
    migration.migrate(a, b)
    assert b.run_state() == "paused"
    assert b.pmemsave(0x400000, 32 << 20) == before
    b.qmp.cmd("cont")
    workload.verify(b)


def test_a_destination_with_S_waits_for_cont(pair):
    a, b = pair(destination=["-S"])
    migration.migrate(a, b)
    assert b.run_state() in ("paused", "prelaunch")
    b.qmp.cmd("cont")
    workload.verify(b)


@pytest.mark.parametrize("backend", [
    "memory-backend-ram", "memory-backend-memfd", "memory-backend-memfd,share=on",
    "memory-backend-file,mem-path=/dev/shm,share=off"])
def test_moves_with_memory_from(pair, backend):
    args = ["-object", f"{backend},id=guestmem,size=64M", "-machine", "memory-backend=guestmem"]
    a, b = pair(source=args, destination=args)
    migration.migrate(a, b)
    workload.verify(b)


def test_the_bandwidth_limit_can_be_lifted_on_the_way(pair):
    a, b = pair()
    migration.set_parameters(a, max_bandwidth=1 << 20)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, f"unix:{b.dir}/migrate")})
    migration.wait_status(a, "active")
    migration.set_parameters(a, max_bandwidth=0)
    check_moved(a, b)


def test_a_guest_taken_back_with_cont_can_move_again(pair, machines):
    a, b = pair()
    migration.migrate(a, b)
    b.qmp.cmd("stop")
    b.close()
    a.qmp.cmd("cont")
    c = machines(name="dst2", mem="64M", incoming="defer", **workload.guest()).start()
    migration.migrate(a, c)
    workload.verify(c)


@pytest.mark.kvm
def test_the_guests_clocks_do_not_run_backwards(pair):
    a, b = pair()
    before = a.guest.reports()[0]["clock_ms"]
    migration.migrate(a, b)
    workload.verify(b)
    after = b.guest.wait_reports(1)[0]
    assert after["back"] == 0
    assert after["clock_ms"] >= before


def test_the_source_says_how_it_went(pair):
    a, b = pair()
    migration.set_capabilities(a, events=True)
    migration.set_capabilities(b, events=True)
    info = migration.migrate(a, b)
    assert {"total-time", "setup-time", "downtime", "ram"} <= set(info)
    ram = info["ram"]
    assert ram["total"] >= 64 << 20
    assert ram["normal-bytes"] == ram["normal"] * ram["page-size"]
    assert ram["transferred"] >= ram["normal-bytes"]
    assert ram["dirty-sync-count"] >= 2
    a.qmp.wait_event("STOP")
    b.qmp.wait_event("RESUME")
    expect = ["setup", "active", "completed"] if environment.is_stock(a.command) else [
        "setup", "active", "device", "completed"]
    assert a.qmp.statuses() == expect
    assert b.qmp.statuses() == ["setup", "active", "completed"]
