# SPDX-License-Identifier: GPL-2.0-or-later
"""What a machine can boot, and where its serial port can lead."""
import os
import pty
import socket
import subprocess
import time

import pytest

from godwit import workload

pytestmark = pytest.mark.kvm

# mov dx,0x3f8; mov al,'B'; l: out dx,al; inc byte [0x7e00]; jmp l
BEATS = bytes([0xBA, 0xF8, 0x03, 0xB0, 0x42, 0xEE, 0xFE, 0x06, 0x00, 0x7E, 0xEB, 0xF9])


def boot_sector():
    return BEATS + bytes(510 - len(BEATS)) + b"\x55\xaa"


def wait_text(read, wanted, timeout=60):
    end = time.monotonic() + timeout
    while wanted not in (text := read()):
        assert time.monotonic() < end, f"no {wanted!r} in {text[-500:]!r}"
        time.sleep(0.01)
    return text


def test_a_pvh_kernel_gets_its_command_line(machines):
    vm = machines(mem="64M", **workload.guest(seed=4711, pattern="stride", stride=3)).start()
    hello = vm.guest.wait_hello()
    assert (hello["seed"], hello["pattern"]) == (4711, "stride")


def test_a_pvh_kernel_gets_a_memory_map(machines):
    vm = machines(mem="4G", **workload.guest(skip=3500)).start()
    hello = vm.guest.wait_hello()
    assert hello["map"] > 0
    assert hello["last"] > 4 << 30


def test_an_initrd_does_not_disturb_the_kernel(machines, tmp_path):
    initrd = tmp_path / "initrd"
    initrd.write_bytes(os.urandom(3 << 20))
    vm = machines(mem="128M", args=["-initrd", initrd], **workload.guest()).start()
    vm.guest.wait_reports(2)


@pytest.mark.parametrize("how", ["drive", "blockdev", "bios"])
def test_a_boot_sector_runs_in_real_mode(machines, tmp_path, how):
    image = tmp_path / "bootsect"
    image.write_bytes(boot_sector())
    args = {"drive": ["-drive", f"file={image},format=raw,if=none,id=d0",
                      "-device", "ide-hd,drive=d0"],
            "blockdev": ["-blockdev", f"driver=file,node-name=d0,filename={image}",
                         "-device", "ide-hd,drive=d0"],
            "bios": ["-bios", image]}[how]
    vm = machines(mem="64M", args=args).start()
    wait_text(vm.serial.text, "BBBB")


def test_every_vcpu_starts(machines):
    vm = machines(mem="64M", cpus=4, **workload.guest(cpus=4)).start()
    assert vm.guest.wait_hello()["cpus"] == 4
    assert len(vm.guest.wait_reports(1)) == 4


def test_the_loader_device_places_a_file(machines, tmp_path):
    data = os.urandom(100_000)
    blob = tmp_path / "blob"
    blob.write_bytes(data)
    vm = machines(mem="64M", args=["-S", "-device", f"loader,file={blob},addr=0x2000123,"
                                   "force-raw=on"], **workload.guest()).start()
    assert vm.pmemsave(0x2000123, len(data)) == data


def test_the_loader_device_places_a_number(machines):
    vm = machines(mem="64M", args=["-S", "-device", "loader,addr=0x2000000,data=0x11223344,"
                                   "data-len=4"], **workload.guest()).start()
    assert vm.pmemsave(0x2000000, 6) == b"\x44\x33\x22\x11\0\0"


def raw_machine(machines, args, **kw):
    return machines(mem="64M", args=args, **dict(workload.guest(), serial=None), **kw)


def test_serial_to_a_file_can_append(machines, tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    raw_machine(machines, ["-chardev", f"file,id=s,path={log},append=on",
                           "-serial", "chardev:s"]).start()
    assert wait_text(log.read_text, "gw hello").startswith("before\n")


def test_serial_to_stdio(machines):
    vm = raw_machine(machines, ["-serial", "stdio"])
    process = subprocess.Popen(vm.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    try:
        assert b"gw hello" in process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_serial_to_a_socket_that_listens(machines, tmp_path, kind):
    if kind == "unix":
        address = f"/tmp/gw-serial-{os.getpid()}"
        where = f"unix:{address}"
        family = socket.AF_UNIX
    else:
        with socket.create_server(("127.0.0.1", 0)) as s:
            address = s.getsockname()
        where = f"tcp:127.0.0.1:{address[1]}"
        family = socket.AF_INET
    raw_machine(machines, ["-serial", f"{where},server=on,wait=off"]).start()
    with socket.socket(family) as s:
        s.settimeout(60)
        s.connect(address)
        data = b""
        while b"gw report" not in data:
            part = s.recv(4096)
            assert part
            data += part


def test_serial_to_a_socket_that_it_connects_to(machines):
    vm = machines(mem="64M", **dict(workload.guest(), serial="socket")).start()
    vm.guest.wait_reports(2)


def test_serial_takes_input(machines):
    vm = machines(mem="64M", **dict(workload.guest(sweep=0), serial="socket")).start()
    vm.guest.wait_reports(1)
    vm.guest.wait_sweep()


def test_serial_to_a_pty(machines):
    vm = raw_machine(machines, ["-chardev", "pty,id=s,path={}", "-serial", "chardev:s"])
    vm.argv = [a.replace("{}", f"{vm.dir}/pty") for a in vm.argv]
    vm.start()
    fd = os.open(f"{vm.dir}/pty", os.O_RDWR | os.O_NOCTTY)
    try:
        assert os.ttyname(fd).startswith("/dev/pts/")
        data = b""
        while b"gw report" not in data:
            data += os.read(fd, 4096)
    finally:
        os.close(fd)


def test_serial_to_null_and_none_runs_as_well(machines):
    for where in ("null", "none"):
        vm = raw_machine(machines, ["-serial", where]).start()
        assert vm.run_state() == "running"


def test_a_chardev_log_file_has_what_the_guest_wrote(machines, tmp_path):
    log = tmp_path / "log"
    raw_machine(machines, ["-chardev", f"null,id=s,logfile={log}", "-serial",
                           "chardev:s"]).start()
    wait_text(lambda: log.read_text() if log.exists() else "", "gw hello")


def test_a_terminal_on_stdio_is_restored_at_the_end(machines):
    vm = raw_machine(machines, ["-serial", "stdio"])
    ours, theirs = pty.openpty()
    before = subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True).stdout
    process = subprocess.Popen(vm.argv, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    wait_text(lambda: os.read(ours, 4096).decode("latin-1"), "gw")
    process.terminate()
    os.set_blocking(ours, False)
    assert process.wait(60) == 0
    assert subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True).stdout == before
    os.close(ours)
    os.close(theirs)
