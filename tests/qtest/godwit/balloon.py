# SPDX-License-Identifier: GPL-2.0-or-later
"""The balloon of the test guest (tests/guest/balloon.c): memory that it does not use, of which it
tells the migration, and what it says about it on its serial line."""
from .guest import GuestFault, parse

MIB = 1 << 20


def arguments(hint=True, props=""):
    """-device of a balloon called `balloon`, as it is given to QEMU."""
    return ["-object", "iothread,id=io0", "-device",
            f"virtio-balloon-device,id=balloon,iothread=io0,page-poison=off,"
            f"free-page-hint={'on' if hint else 'off'}{props}"]


def records(machine):
    return [r for r in map(parse, machine.serial.lines()) if r and r["what"] == "balloon"]


def check(record):
    if record["wrong"]:
        raise GuestFault(f"what the guest wrote into pages it had called free is lost: {record}")
    return record


def wait(machine, what, ready, timeout=60):
    """Until the guest's last word about its balloon satisfies `ready`; that word. Every word since
    the call is checked."""
    base = len(machine.serial.lines())

    def look(_):
        fresh = [r for r in map(parse, machine.serial.lines()[base:])
                 if r and r["what"] == "balloon"]
        for r in fresh:
            check(r)
        return fresh and ready(fresh[-1]) and fresh[-1]

    return machine.guest._wait(what, look, timeout)
