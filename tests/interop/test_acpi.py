# SPDX-License-Identifier: GPL-2.0-or-later
"""The ACPI tables of a microvm: the same devices, lines and registers as stock QEMU's tell a guest of
the same machine, and AML that iasl takes. What a Linux kernel makes of them: test_linux.py."""
import shutil
import subprocess

import pytest

from godwit import acpi, environment, migration
from hops import switches

pytestmark = pytest.mark.kvm

TWO = ["-device", "virtio-rng-device", "-device", "virtio-balloon-device"]
# Machine properties, vCPUs, arguments.
BOARDS = {
    "default": ("", 1, TWO),
    "one-ioapic": (",ioapic2=off,rtc=on", 3, TWO),
    "full": (",isa-serial=off,pic=off,pit=off", 2, ["-device", "virtio-rng-device"] * 24),
}
TIMER_OVERRIDE = bytes([2, 10, 0, 0, 2, 0, 0, 0, 0, 0])


def tables(machines, command, board):
    props, cpus, args = BOARDS[board]
    boot = {} if environment.is_stock(command) else {"kernel": environment.guest_elf()}
    vm = machines(command, name="vm" if boot else "stock", machine="microvm" + props, accel="kvm",
                  mem="64M", cpus=cpus, args=args, **boot).start()
    found = acpi.read_tables(vm, 0 if boot else 120)
    vm.close()
    return found


@pytest.mark.parametrize("board", BOARDS)
def test_a_guest_finds_what_stock_qemu_has(machines, stock, board):
    ours = tables(machines, environment.godwit_bin(), board)
    theirs = tables(machines, stock, board)
    mine, other = acpi.Dsdt(ours["DSDT"]).devices, acpi.Dsdt(theirs["DSDT"]).devices

    if "RTC" in mine:  # stock's claims eight ports, and answers two
        assert mine["RTC"]["_CRS"].pop(0) == ("ports", 0x70, 2)
        assert other["RTC"]["_CRS"].pop(0) == ("ports", 0x70, 8)
    assert mine == other
    assert list(mine) != [] and [d for d in mine if d[:2] == "VR"] == [
        d for d in other if d[:2] == "VR"]  # which is the order that Linux counts them in
    assert acpi.fadt_registers(ours["FACP"]) == acpi.fadt_registers(theirs["FACP"])
    # The timer's line is at pin 2, which stock's tables do not tell.
    entries = [e for e in acpi.madt_entries(ours["APIC"]) if e != TIMER_OVERRIDE]
    assert entries == acpi.madt_entries(theirs["APIC"])


def test_the_tables_stay_where_they_are_in_a_move_to_stock(machines, stock):
    """They lie in RAM that no firmware covers."""
    board = dict(machine="microvm", accel="kvm", mem="64M", kernel=environment.guest_elf())
    godwit = environment.godwit_bin()
    here = machines(name="src", args=["-S", *TWO, *switches(godwit, stock)], **board).start()
    at = acpi.find_rsdp(here)
    before = here.pmemsave(at, 0x9FC00 - at)
    there = machines(stock, name="dst", incoming="defer", args=TWO, **board).start()
    migration.migrate(here, there)
    assert there.pmemsave(at, 0x9FC00 - at) == before


@pytest.mark.parametrize("board", BOARDS)
def test_iasl_takes_the_tables(machines, tmp_path, board):
    if not shutil.which("iasl"):
        pytest.skip("no iasl here (apt-get install acpica-tools)")
    for name, data in tables(machines, environment.godwit_bin(), board).items():
        (tmp_path / f"{name}.dat").write_bytes(data)
        for step in (["-d", f"{name}.dat"], ["-we", "-p", f"{name}.aml", f"{name}.dsl"]):
            done = subprocess.run(["iasl", *step], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, f"iasl {step}: {done.stdout}{done.stderr}"
        if name == "DSDT":
            assert "0 Errors, 0 Warnings" in done.stdout + done.stderr
