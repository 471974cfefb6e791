# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guest's virtio-rng (tests/guest/rng.c), which goes on by interrupts alone."""
from .guest import GuestFault, parse


def records(machine, since=0):
    return [r for r in map(parse, machine.serial.lines()[since:]) if r and r["what"] == "rng"]


def wait_answers(machine, count=20, timeout=60):
    """Until the guest has taken so many interrupts more and found an answer behind each; its last
    word."""
    base = len(machine.serial.lines())

    def ready(_):
        fresh = records(machine, base)
        for r in fresh:
            if r["wrong"]:
                raise GuestFault(f"the guest's random bytes: {r}")
        return fresh and fresh[-1]["answered"] >= fresh[0]["answered"] + count and fresh[-1]

    return machine.guest._wait(f"take {count} interrupts", ready, timeout)


def wait_lost(machine, timeout=60):
    """Until the guest has an answer in its ring and has not heard of it for long."""
    base = len(machine.serial.lines())

    def ready(_):
        fresh = records(machine, base)
        return len(fresh) > 1 and all(r["lost"] for r in fresh[-2:]) and fresh[-1]

    return machine.guest._wait("miss an interrupt", ready, timeout)
