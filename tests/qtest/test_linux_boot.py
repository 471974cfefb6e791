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
PRINT_RBX = bytes.fromhex("8a03 84c0 7406 ee 48ffc3 ebf4")  # until the NUL
HELLO = b"in long mode: \0"


def entry():
    """mov dx,0x3f8; print what lies at [rip+hello], at cmd_line_ptr and at ramdisk_image; hang."""
    ptr = [bytes.fromhex("8b9e") + struct.pack("<I", field) + PRINT_RBX for field in (0x228, 0x218)]
    tail = b"".join(ptr) + b"\xeb\xfe"
    lea = b"\x48\x8d\x1d" + struct.pack("<I", len(PRINT_RBX) + len(tail))
    return b"\x66\xba\xf8\x03" + lea + PRINT_RBX + tail + HELLO


def bzimage(**fields):
    """One setup sector beside the boot sector, then the kernel with its entry at 0x200."""
    kernel = bytes(0x200) + entry()
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


def booted(machines, tmp_path, *args, **fields):
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage(**fields))
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
