# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: QEMU's words work, and everything else is one clear error with exit status 1."""
import json
import os
import re
import socket
import subprocess
import time

import pytest

from godwit import environment

UUID = "11111111-2222-3333-4444-555555555555"


def run(*args, **kw):
    return subprocess.run([*environment.godwit_bin(), *map(str, args)], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL, **kw)


@pytest.mark.parametrize("option", ["-version", "--version", "-help", "-h"])
def test_asking_for_information_ends_with_status_0(option):
    p = run(option)
    assert p.returncode == 0 and p.stdout and not p.stderr


@pytest.mark.parametrize("option, words", [
    ("-machine", ["none", "microvm"]), ("-accel", ["kvm", "sim"]), ("-cpu", ["host"]),
    ("-device", ["loader"]), ("-object", ["memory-backend-ram"])])
def test_help_lists_what_there_is(option, words):
    p = run(option, "help")
    assert p.returncode == 0
    for word in words:
        assert word in p.stdout


BAD = {
    "unknown option": (["-bogus"], "bogus"),
    "misspelt option": (["-machin", "none"], "machine"),
    "missing argument": (["-m"], "-m"),
    "stray word": (["stray"], "stray"),
    "unknown machine": (["-M", "bogus"], "bogus"),
    "unknown machine property": (["-M", "none,bogus=on"], "bogus"),
    "machine property that is no switch": (["-M", "microvm,pit=perhaps"], "pit|perhaps"),
    "unknown accelerator": (["-accel", "bogus", "-M", "none"], "bogus"),
    "memory size that is no number": (["-M", "none", "-m", "lots"], "lots"),
    "more memory than an address": (["-M", "none", "-m", "99999999T"], "99999999T"),
    "too many vcpus": (["-M", "microvm", "-smp", "17"], "16|17"),
    "no vcpus": (["-M", "microvm", "-smp", "0"], "0|1"),
    "missing kernel": (["-M", "microvm", "-accel", "kvm", "-kernel", "/nonexistent"],
                       "/nonexistent"),
    "kernel that is no ELF": (["-M", "microvm", "-accel", "kvm", "-kernel", "/etc/passwd"],
                              "/etc/passwd"),
    "append without kernel": (["-M", "microvm", "-append", "x"], "-append.*-kernel"),
    "uuid that is none": (["-M", "none", "-uuid", "1234"], "1234"),
    "incoming protocol": (["-M", "none", "-incoming", "bogus:x"], "bogus"),
    "incoming file": (["-M", "none", "-incoming", "file:/nonexistent"], "/nonexistent"),
    "unknown chardev": (["-M", "none", "-chardev", "bogus,id=x"], "bogus"),
    "chardev that is not there": (["-M", "microvm", "-accel", "sim", "-serial", "chardev:bogus"],
                                  "bogus"),
    "two chardevs of one name": (["-M", "none", "-chardev", "null,id=x", "-chardev", "null,id=x"],
                                 "x"),
    "unknown object": (["-M", "none", "-object", "bogus,id=x"], "bogus"),
    "object without id": (["-M", "none", "-object", "memory-backend-ram,size=1M"], "id"),
    "backend that is not there": (["-M", "none,memory-backend=bogus"], "bogus"),
    "backend file that is not there": (
        ["-M", "none", "-m", "1M", "-object",
         "memory-backend-file,id=m,size=1M,mem-path=/nonexistent/x"], "/nonexistent/x"),
    "unknown device": (["-M", "microvm", "-device", "bogus"], "bogus"),
    "loader without a file": (["-M", "microvm", "-accel", "sim", "-device",
                               "loader,file=/nonexistent,addr=0"], "/nonexistent"),
    "unknown migration property": (["-M", "none", "-global", "migration.bogus=on"], "bogus"),
    "unknown log item": (["-M", "none", "-d", "bogus"], "bogus"),
    "pid file that cannot be": (["-M", "none", "-pidfile", "/nonexistent/pid"],
                                "/nonexistent/pid"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named_and_ends_with_status_1(name):
    args, says = BAD[name]
    p = run(*args, "-nodefaults", "-display", "none")
    assert p.returncode == 1
    assert re.search(says, p.stderr), p.stderr
    assert p.stdout == ""


def test_the_first_accelerator_that_works_is_taken(machines):
    vm = machines(accel="tcg", mem="64M", args=["-accel", "sim"]).start()
    assert vm.run_state() == "running"


def test_the_pid_file_has_the_process_and_goes_with_it(machines):
    vm = machines(machine="none")
    path = vm.dir / "pid"
    vm.argv += ["-pidfile", str(path)]
    vm.start()
    assert int(path.read_text()) == vm.process.pid
    vm.qmp.cmd("quit")
    vm.wait_exit()
    assert not path.exists()


def test_daemonize_returns_when_the_sockets_listen(machines):
    vm = machines(machine="none")
    pid_file = vm.dir / "pid"
    p = subprocess.run([*vm.argv, "-daemonize", "-pidfile", str(pid_file)], timeout=60,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{vm.dir}/qmp")
        s.sendall(b'{"execute": "qmp_capabilities"}{"execute": "quit"}\n')
        while s.recv(4096):
            pass
    end = time.monotonic() + 60
    while pid_file.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_daemonize_tells_a_mistake_before_it_returns(machines):
    vm = machines(machine="none")
    p = subprocess.run([*vm.argv, "-daemonize", "-incoming", "file:/nonexistent"], timeout=60,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert p.returncode == 1
    assert "/nonexistent" in p.stderr


def test_S_waits_for_cont(machines):
    vm = machines(machine="none", args=["-S"]).start()
    assert vm.run_state() == "prelaunch"
    vm.qmp.cmd("cont")
    assert vm.run_state() == "running"


def test_a_destination_waits_in_inmigrate(machines):
    vm = machines(machine="none", incoming="defer").start()
    assert vm.run_state() == "inmigrate"


@pytest.mark.parametrize("size, pages", [("64", 16384), ("64M", 16384), ("65536K", 16384),
                                         ("size=64M", 16384), ("1G", 262144)])
def test_memory_sizes_are_understood(machines, size, pages):
    vm = machines(machine="none", mem=size).start()
    last = pages * 4096 - 4096
    assert vm.pmemsave(last, 4096) == bytes(4096)


def test_global_sets_a_migration_capability_and_parameter(machines):
    vm = machines(machine="none", args=["-global", "migration.x-events=on",
                                        "-global", "migration.downtime-limit=77"]).start()
    states = {c["capability"]: c["state"] for c in vm.qmp.cmd("query-migrate-capabilities")}
    assert states["events"] is True
    assert vm.qmp.cmd("query-migrate-parameters")["downtime-limit"] == 77


def test_qmp_over_tcp(machines):
    host = environment.loopback()
    with socket.create_server((host, 0)) as s:
        port = s.getsockname()[1]
    machines(machine="none", args=["-qmp", f"tcp:{host}:{port},server=on,wait=off"]).start()
    with socket.create_connection((host, port), 60) as s:
        assert s.recv(4096).startswith(b'{"QMP"')


def test_qmp_on_stdio():
    p = subprocess.run([*environment.godwit_bin(), "-M", "none", "-nodefaults", "-display", "none",
                        "-qmp", "stdio"], timeout=60, capture_output=True,
                       input=b'{"execute": "qmp_capabilities"}{"execute": "quit"}\n')
    assert p.returncode == 0
    messages = [json.loads(line) for line in p.stdout.splitlines()]
    assert "QMP" in messages[0] and messages[1] == {"return": {}}


def test_a_monitor_made_of_chardev_and_mon(machines):
    vm = machines(machine="none")
    vm.argv += ["-chardev", f"socket,id=c,path={vm.dir}/hmp,server=on,wait=off",
                "-mon", "chardev=c,mode=readline"]
    vm.start()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(f"{vm.dir}/hmp")
        s.sendall(b"info status\n")
        text = b""
        while b"running" not in text:
            part = s.recv(4096)
            assert part
            text += part


def test_log_output_goes_to_the_file(machines):
    vm = machines(machine="none")
    log = vm.dir / "log"
    vm.argv += ["-D", str(log), "-trace", "*"]
    vm.start()
    vm.qmp.cmd("quit")
    assert vm.wait_exit() == 0
    assert os.path.exists(log)
