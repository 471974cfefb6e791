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
    merged = {**DEFAULTS, "rate": 200, **options}
    props = {k: v for k, v in merged.items() if k in ("pattern", "rate", "stride", "seed", "report")}
    props.update(whole="on", working_set=f"{merged['mem']}M", base="4M")
    return {"accel": ",".join(["sim", *(f"{k.replace('_', '-')}={v}" for k, v in props.items())])}


def wait_ready(machine):
    """Until the workload is at its pattern."""
    machine.guest.wait_reports(2)


def verify(machine):
    """After a move: the workload goes on, and all of its memory is right."""
    if machine.accel.startswith("sim"):
        return machine.guest.wait_pass()
    return machine.guest.wait_sweep()
