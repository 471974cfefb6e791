# SPDX-License-Identifier: GPL-2.0-or-later
"""A bzImage starts at its 64-bit entry and finds its boot parameters; a synthetic kernel of some
bytes stands in for Linux and writes what it was given to the serial port."""
import os
import struct

import pytest

from godwit.machine import StartError
from test_boot import wait_text

pytestmark = pytest.mark.kvm

PREF = 0x1000000
# mov ebx, the event device's registers; mov dx,0x3f8
GED = bytes.fromhex("bb0000a0fe 66baf803")
WAIT_FOR_EVENT = bytes.fromhex("8b03 a802 74fa")  # until the power button's bit is read
PRINT_RBX = bytes.fromhex("8a03 84c0 7406 ee 48ffc3 ebf4")  # until the NUL
HELLO = b"in long mode: \0"


def entry():
    """mov dx,0x3f8; print what lies at [rip+hello], at cmd_line_ptr and at ramdisk_image; hang."""
    ptr = [bytes.fromhex("8b9e") + struct.pack("<I", field) + PRINT_RBX for field in (0x228, 0x218)]
    tail = b"".join(ptr) + b"\xeb\xfe"
    lea = b"\x48\x8d\x1d" + struct.pack("<I", len(PRINT_RBX) + len(tail))
    return b"\x66\xba\xf8\x03" + lea + PRINT_RBX + tail + HELLO


def bzimage(code=None, **fields):
    """One setup sector beside the boot sector, then the kernel with its entry at 0x200."""
    kernel = bytes(0x200) + (code or entry())
    kernel += bytes(-len(kernel) % 16)
    setup = bytearray(1024)
    values = {"setup_sects": (0x1F1, "B", 1), "syssize": (0x1F4, "I", len(kernel) // 16),
              "boot_flag": (0x1FE, "H", 0xAA55), "jump": (0x200, "H", 0x6AEB),
              "header": (0x202, "4s", b"HdrS"), "version": (0x206, "H", 0x20F),
              "loadflags": (0x211, "B", 1), "initrd_addr_max": (0x22C, "I", 0x7FFFFFFF),
              "kernel_alignment": (0x230, "I", 0x200000), "relocatable": (0x234, "B", 1),
              "xloadflags": (0x236, "H", 1), "cmdline_size": (0x238, "I", 255),
              "pref_address": (0x258, "Q", PREF), "init_size": (0x260, "I", 0x100000)}
    for name, (at, form, value) in values.items():
        struct.pack_into("<" + form, setup, at, fields.get(name, value))
    return bytes(setup) + kernel


def put_al(char):
    return b"\xb0" + char + b"\xee"


def store(offset, value):
    """mov byte [rbx+offset],value; hang."""
    return b"\xc6\x83" + struct.pack("<IB", offset, value) + b"\xeb\xfe"


def booted(machines, tmp_path, *args, code=None, **fields):
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage(code, **fields))
    return machines(mem="64M", kernel=image, append="hello=1 ", args=args)


def test_a_bzimage_finds_command_line_and_initrd(machines, tmp_path):
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"here is the initrd\0" + os.urandom(1 << 20))
    vm = booted(machines, tmp_path, "-initrd", initrd).start()
    assert "in long mode: hello=1 here is the initrd" in wait_text(vm.serial.text, "the initrd")


def test_a_reset_boots_it_again(machines, tmp_path):
    vm = booted(machines, tmp_path).start()
    wait_text(vm.serial.text, "hello=1 ")
    vm.qmp.cmd("system_reset")
    wait_text(vm.serial.text, "hello=1 in long mode: hello=1")


def test_a_broken_header_is_refused_by_name(machines, tmp_path):
    with pytest.raises(StartError, match="syssize"):
        booted(machines, tmp_path, syssize=1 << 20).start()


def test_the_power_button_reaches_the_guest_which_switches_off(machines, tmp_path):
    code = GED + put_al(b"U") + WAIT_FOR_EVENT + put_al(b"P") + store(0x200, 0x20 | 5 << 2)
    vm = booted(machines, tmp_path, code=code).start()
    wait_text(vm.serial.text, "U")
    vm.qmp.cmd("system_powerdown")
    assert vm.wait_exit() == 0
    assert vm.serial.text() == "UP"


def test_the_guest_resets_the_machine(machines, tmp_path):
    vm = booted(machines, tmp_path, code=GED + put_al(b"R") + store(0x202, 0x42)).start()
    wait_text(vm.serial.text, "RR")
