# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux kernel under godwit and under stock QEMU's microvm. GODWIT_LINUX names the folder into which
a kernel package was unpacked (boot/vmlinuz-*, lib/modules/*); without it nothing here runs.
GODWIT_LINUX_SECONDS: how long each KVM guest may boot, by default 60: where KVM emulates the guest's
kernel mode it gets no farther than its time."""
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from godwit import acpi, environment

MODULES = ["virtio_ring", "virtio", "virtio_mmio", "virtio-rng", "evdev", "button"]
DEVICES = ["-device", "virtio-rng-device", "-device", "virtio-serial-device"]
TABLES_END = 0x9FC00
# What differs by right: names and places of tables, what firmware reserves, versions of chips,
# processor bugs that follow from who hides which feature, clocks.
OTHER = re.compile(r"ACPI: |BIOS-|e820|IOAPIC\[|\[mem |Memory: |sched offset|Probing EDD|KASLR|tsc:|"
                   r"Command line|command line|Hypervisor detected|random: |colour|CPU0: |GDS|"
                   r"PM: hibernation|Decompressing|RAMDISK|Booting|DMI|physical RAM")


@pytest.fixture(scope="session")
def linux():
    """(kernel, folder of modules)."""
    if "GODWIT_LINUX" not in os.environ:
        pytest.skip("no Linux kernel given (GODWIT_LINUX: a folder with an unpacked kernel package)")
    top = pathlib.Path(os.environ["GODWIT_LINUX"])
    return next(top.glob("boot/vmlinuz-*")), next(top.glob("lib/modules/*"))


def cpio(files):
    """An archive of the kernel's "newc" kind."""
    out = b""
    for number, (name, data) in enumerate([*files, ("TRAILER!!!", b"")], 1):
        head = [number, 0o100755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        for part in (b"070701" + b"".join(b"%08X" % v for v in head) + name.encode() + b"\0", data):
            out += part + bytes(-len(part) % 4)
    return out


@pytest.fixture(scope="session")
def initrd(linux, tmp_path_factory):
    cc = shutil.which("cc")
    if not cc:
        pytest.skip("no C compiler for the guest's init")
    folder = tmp_path_factory.mktemp("initrd")
    source = pathlib.Path(__file__).parent / "linux-init.c"
    subprocess.run([cc, "-static", "-o", folder / "init", source], check=True)
    files = [("init", (folder / "init").read_bytes())]
    for name in MODULES:
        files.append((name + ".ko", next(linux[1].rglob(name + ".ko")).read_bytes()))
    (folder / "initrd").write_bytes(cpio(files))
    return folder / "initrd"


def wait_line(vm, pattern, seconds):
    end = time.monotonic() + seconds
    while not re.search(pattern, vm.serial.text()):
        if time.monotonic() > end or vm.process.poll() is not None:
            return False
        time.sleep(0.1)
    return True


def test_linux_boots_with_the_tables(machines, linux, initrd):
    """Stock QEMU's TCG runs kernel mode on every host: it boots with the tables that godwit made for
    the same board, to user space and to S5."""
    qemu = environment.stock_qemu() or pytest.skip("no qemu-system-x86_64 here")
    if not environment.kvm_works():
        pytest.skip("a board's tables need a real vCPU: /dev/kvm does not work here")
    board = dict(machine="microvm,rtc=on", mem="512M", cpus=2)
    ours = machines(accel="kvm", kernel=linux[0], args=["-S", *DEVICES], name="ours", **board).start()
    at = acpi.find_rsdp(ours)
    tables = ours.dir / "tables"
    tables.write_bytes(ours.pmemsave(at, TABLES_END - at))

    vm = machines(qemu, name="tcg", accel="tcg", kernel=linux[0], **board,
                  append=f"console=ttyS0 tsc_early_khz=2000000 acpi_rsdp={at:#x} "
                         f"memmap={0xA0000 - (at & ~0xFFF)}#{at & ~0xFFF:#x}",
                  args=["-cpu", "max", "-no-reboot", "-initrd", initrd, *DEVICES, "-device",
                        f"loader,file={tables},addr={at:#x},force-raw=on"]).start()
    assert wait_line(vm, "button: waits", 200), vm.serial.text()[-2000:]
    vm.qmp.cmd("system_powerdown")
    vm.wait_exit(120)
    log = vm.serial.text()
    for word in ("GODWIT", "module virtio_mmio: 0", r"acpi LNRO0005:00: \_SB_.VR23",
                 r"acpi LNRO0005:01: \_SB_.VR22", r"acpi PNP0501:00: \_SB_.COM1",
                 r"acpi PNP0B00:00: \_SB_.RTC_", r"acpi ACPI0013:00: \_SB_.GED_",
                 r"acpi QEMU0002:00: \_SB_.FWCF", "virtio virtio0: 0x0004", "virtio virtio1: 0x0003",
                 "cpus: 0-1", "random: 16", "button: type 1 code 116"):
        assert word in log, f"{word!r} is missing: {log[-3000:]}"


def lines(vm):
    """The kernel's lines that do not differ by right, without time stamps and numbers in words."""
    text = re.sub(r"^\[ *[0-9.]+\] ", "", vm.serial.text(), flags=re.M)
    return [line for line in text.splitlines()[:-1] if line.strip() and not OTHER.search(line)]


@pytest.mark.kvm
def test_linux_says_what_it_says_under_stock(machines, linux, initrd):
    """Line by line as far as both have come in their time."""
    qemu = environment.stock_qemu() or pytest.skip("no qemu-system-x86_64 here")
    both = [machines(command, name=name, machine="microvm", accel="kvm", mem="512M", kernel=linux[0],
                     append="earlyprintk=serial,ttyS0,115200 console=ttyS0 nokaslr",
                     args=["-cpu", "max,-cx16", "-initrd", initrd, *DEVICES]).start()
            for command, name in ((environment.godwit_bin(), "ours"), (qemu, "stock"))]
    end = time.monotonic() + float(os.environ.get("GODWIT_LINUX_SECONDS", 60))
    while time.monotonic() < end and not all("button: waits" in vm.serial.text() for vm in both):
        time.sleep(0.5)
    mine, other = (lines(vm) for vm in both)
    common = min(len(mine), len(other))
    print(f"{len(mine)} lines here, {len(other)} under QEMU")
    if common == 0:
        pytest.skip("no line came in the time given: GODWIT_LINUX_SECONDS makes it longer")
    assert mine[:common] == other[:common]
