# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of the test guest (tests/guest/disk.c): an image, the arguments for it, and waiting until
the guest has read all of it back."""
from .guest import GuestFault, parse

MIB = 1 << 20


def image(path, size=MIB):
    """A sparse image at that path."""
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def arguments(path, layout="legacy", drive="", device="", n=0):
    """-drive and -device for one disk; `layout` is the transport's version."""
    return ["-global", f"virtio-mmio.force-legacy={'on' if layout == 'legacy' else 'off'}",
            "-drive", f"if=none,id=disk{n},format=raw,file={path}{drive}",
            "-device", f"virtio-blk-device,drive=disk{n}{device}"]


def records(machine):
    return [r for r in map(parse, machine.serial.lines()) if r and r["what"] == "disk"]


def check(record):
    bad = {k: record[k] for k in ("wrong", "errors", "strange", "stuck") if record[k]}
    if bad:
        raise GuestFault(f"the guest's disk: {bad} in {record}")
    return record


def wait_passes(machine, passes=1, timeout=60):
    """Until the guest, which says something for the first time after this call, has read the disks
    that often again and found every block right; its last word."""
    base = len(machine.serial.lines())
    first = []

    def ready(_):
        fresh = [r for r in map(parse, machine.serial.lines()[base:]) if r and r["what"] == "disk"]
        for r in fresh:
            check(r)
        first[:] = first or fresh[:1]
        # One pass more than asked for: the first began before.
        return first and fresh[-1]["passes"] > first[0]["passes"] + passes and fresh[-1]

    return machine.guest._wait(f"read its disk {passes} times", ready, timeout)
