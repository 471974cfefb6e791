# SPDX-License-Identifier: GPL-2.0-or-later
"""Something that runs and touches memory: the project's guest on KVM, sim's own threads without."""
from . import environment

DEFAULTS = {"pattern": "random", "mem": 32, "sweep": 1, "report": 200}


def words(**options):
    """The guest's command line; underscores stand for dashes, except in tsc_khz."""
    merged = {**DEFAULTS, **options}
    return " ".join(f"{k if k == 'tsc_khz' else k.replace('_', '-')}={v}"
                    for k, v in merged.items())


def guest(accel=None, **options):
    """Arguments for Machine() that make it run the workload; the destination takes the same."""
    if (accel or environment.accel()) == "kvm":
        return {"accel": "kvm", "kernel": environment.guest_elf(), "append": words(**options)}
    known = {k: v for k, v in options.items() if k in ("pattern", "rate", "stride", "seed")}
    return {"accel": ",".join(["sim", *(f"{k}={v}" for k, v in known.items())]), "serial": None}


def wait_ready(machine):
    """Until the workload is at its pattern."""
    if machine.serial:
        machine.guest.wait_reports(2)
    else:
        machine.wait_run_state("running")


def verify(machine):
    """After a move: the workload goes on, and all of its memory is right."""
    if machine.serial:
        return machine.guest.wait_sweep()
    machine.wait_run_state("running")
    return None
