#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Postcopy, started at once, with the same guest on stock QEMU and on godwit in turn.

    python3 bench/postcopy_run.py --rows random,stream --variants preempt --runs 5

The guest itself says what it felt (felt.py). A fault is one of the N longest first loads of a page
between the switchover and the arrival of the last page, where N is the number of requests that the
source counted. Prints a line for each run, then medians and the ratios; --json writes all."""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests/qtest"), str(TOP / "bench")]

import felt  # noqa: E402
import verdict  # noqa: E402
from rows_postcopy import PATTERNS, VALUES, VARIANTS, goals  # noqa: E402
from godwit import environment, migration  # noqa: E402
from godwit.machine import Machine  # noqa: E402

STALL_US = 50      # a gap between two readings of the guest's clock that counts as a stall
PRECOPY_RATE = 1 << 20  # bytes a second before the switchover: nearly all memory follows after it


def go_ahead():
    """A session of our own, whose threads the scheduler takes before all others of this machine:
    the VMMs, both in it, compete with each other but with nothing else. For root; else nothing."""
    if os.geteuid() or not os.path.exists("/proc/self/autogroup"):
        return
    child = os.fork()
    if child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.setsid()
    pathlib.Path("/proc/self/autogroup").write_text("-20")


def make_machine(command, name, mem, words, incoming=None, args=()):
    return Machine(command, name=name, accel="kvm", mem=f"{mem + 16}M",
                   kernel=environment.guest_elf(),
                   append=" ".join(f"{k}={v}" for k, v in words.items()), serial="socket",
                   incoming=incoming, args=args)


class Ready:
    """The guest at its work, saved to a file: each run begins with the same one, and no VMM's
    firmware has to boot it (which can take minutes where KVM emulates ring 0)."""

    def __init__(self, directory, pattern, mem):
        self.mem = mem
        self.words = {**pattern, "mem": mem, "report": 1000, "sweep": 0}
        self.path = pathlib.Path(directory) / "ready"
        with make_machine(environment.godwit_bin(), "save", mem, self.words) as m:
            self.hello = m.guest.wait_hello(120)
            m.guest.wait_reports(2, 240)
            m.qmp.cmd("stop")
            m.qmp.cmd("migrate", {"uri": f"exec:cat > {self.path}"})
            migration.wait_status(m, "completed")

    def resume(self, command):
        """A machine that goes on with it."""
        m = make_machine(command, "src", self.mem, self.words,
                         incoming=f"exec:cat {self.path}").start()
        try:
            migration.wait_status(m, "completed")
            m.qmp.cmd("cont")
            m.guest.wait_reports(2, 60)
        except BaseException:
            m.close()
            raise
        return m


def set_up(machine, capabilities):
    names = ("postcopy-ram", "events", *capabilities)
    machine.qmp.cmd("migrate-set-capabilities", {"capabilities": [
        {"capability": name, "state": True} for name in names]})


def start_postcopy(source, timeout=10):
    """As early as the source takes the command."""
    end = time.monotonic() + timeout
    while True:
        now = migration.status(source)
        if now == "active":
            source.qmp.cmd("migrate-start-postcopy")
            return
        if now in migration.ENDED or time.monotonic() > end:
            raise migration.MigrationFailed(f"{now} before the postcopy could begin")
        time.sleep(0.001)


def event_time(machine, name, **data):
    stamp = machine.qmp.wait_event(name, **data)["timestamp"]
    return stamp["seconds"] + stamp["microseconds"] / 1e6


def sum_up(touches, gaps, info, resumed, arrived):
    requests = info["ram"]["postcopy-requests"]
    faults = touches.longest(requests)
    stalls = gaps.above_us(STALL_US)
    return {
        "requests": requests,
        "mean_us": faults.mean_us(),
        "p50_us": faults.quantile_us(0.5),
        "p99_us": faults.quantile_us(0.99),
        "p999_us": faults.quantile_us(0.999),
        "longest_us": stalls.longest_us(),
        "fault_ms": faults.total_ms(),
        "stalled_ms": stalls.total_ms(),
        "arrived_ms": (arrived - resumed) * 1e3,
        "downtime_ms": info.get("downtime", 0),
        "touches": touches.count(),
        "postcopy_mb": info["ram"].get("postcopy-bytes", 0) / 1e6,
        "ram": info["ram"],
    }


def move(a, b, hello, uri):
    """One postcopy of the running guest; what was measured."""
    before = felt.read(a, hello["felt"], hello["tsc_khz"])
    target = migration.listen(b, uri)
    a.qmp.cmd("migrate-set-parameters", {"max-bandwidth": PRECOPY_RATE})
    a.qmp.cmd("migrate", {"uri": target})
    start_postcopy(a)
    info = migration.wait_status(a, "completed")
    resumed = event_time(b, "RESUME")
    arrived = event_time(b, "MIGRATION", status="completed")
    after = felt.read(b, hello["felt"], hello["tsc_khz"])
    return sum_up(after[0] - before[0], after[1] - before[1], info, resumed, arrived)


def run(command, ready, capabilities, transport="tcp"):
    """A whole run: take the guest up, move it, let it verify all of its memory."""
    a = b = None
    try:
        a = ready.resume(command)
        b = make_machine(command, "dst", ready.mem, ready.words, incoming="defer").start()
        for m in (a, b):
            set_up(m, capabilities)
        uri = "tcp:127.0.0.1:0" if transport == "tcp" else f"unix:{b.dir}/migrate"
        result = move(a, b, ready.hello, uri)
        result["verified"], result["wrong"] = b.guest.wait_sweep()
        return result
    finally:
        for m in (a, b):
            if m:
                m.close()


def tree_command(tree):
    return ("chroot", tree, "/usr/bin/qemu-system-x86_64")


def stock_command(wish):
    """The newest stock QEMU there is: `wish`, a tree (GODWIT_SID), a trixie tree, the host's own."""
    if wish:
        return tree_command(wish) if os.path.isdir(wish) else (wish,)
    command = environment.trixie_qemu()[0] or environment.stock_qemu()
    if not command:
        sys.exit("there is no qemu-system-x86_64 here to compare with (apt-get install "
                 "qemu-system-x86)")
    return command


def medians(runs):
    return {value: statistics.median(r[value] for r in runs) for value in VALUES}


def print_run(row, variant, vmm, r):
    load = os.getloadavg()[0]
    print(f"{row:10} {variant:8} {vmm:6} requests {r['requests']:6} mean {r['mean_us']:7.0f} "
          f"p50 {r['p50_us']:7.0f} p99 {r['p99_us']:7.0f} p99.9 {r['p999_us']:7.0f} "
          f"longest {r['longest_us']:8.0f} us; stalled {r['stalled_ms']:7.0f} "
          f"arrived {r['arrived_ms']:7.0f} ms; wrong {r['wrong']} (load {load:.1f})", flush=True)


def measure(rows, variants, vmms, runs, mem, transport):
    """{row: {variant: {vmm: [run, ...]}}}; the VMMs alternate."""
    found = {}
    for row in rows:
        with tempfile.TemporaryDirectory(prefix="gw-bench-", dir="/tmp") as directory:
            ready = Ready(directory, PATTERNS[row], mem)
            found[row] = {v: measure_variant(row, v, vmms, runs, ready, transport)
                          for v in variants}
    return found


def measure_variant(row, variant, vmms, runs, ready, transport):
    capabilities, common = VARIANTS[variant]
    found = {}
    for _ in range(runs):
        for vmm, command in vmms.items():
            if vmm == "stock" and not common:
                continue
            r = run(command, ready, capabilities, transport)
            print_run(row, variant, vmm, r)
            found.setdefault(vmm, []).append(r)
    return found


def value_of(found, row, variant, vmm, value):
    runs = found.get(row, {}).get(variant, {}).get(vmm)
    return medians(runs)[value] if runs else None


def judge(found):
    """The goals that were measured: (text, ratio, most)."""
    results = []
    for row, variant, value, other, vmm, most in goals():
        mine = value_of(found, row, variant, "godwit", value)
        theirs = value_of(found, row, other, vmm, value)
        if mine is not None and theirs:
            text = f"{row} {value}: godwit {variant} / {vmm} {other}"
            results.append((text, mine / theirs, most))
    return results


def print_medians(found):
    print(f"\n{'medians':10} {'':8} {'':6} " + " ".join(f"{v:>11}" for v in VALUES))
    for row, variants in found.items():
        for variant, vmms in variants.items():
            for vmm, runs in vmms.items():
                m = medians(runs)
                print(f"{row:10} {variant:8} {vmm:6} " +
                      " ".join(f"{m[v]:11.0f}" for v in VALUES))
    print()
    verdict.print_goals(judge(found))


def version_of(command):
    return subprocess.run([*command, "--version"], capture_output=True,
                          text=True).stdout.splitlines()[0]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--rows", default=",".join(PATTERNS))
    p.add_argument("--variants", default=",".join(VARIANTS))
    p.add_argument("--vmms", default="stock,godwit")
    p.add_argument("--stock", help="a QEMU binary, or a tree to chroot into")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--quick", action="store_true", help="3 runs")
    p.add_argument("--mem", type=int, default=1024, help="MiB that the guest uses")
    p.add_argument("--transport", choices=("tcp", "unix"), default="tcp")
    p.add_argument("--json")
    args = p.parse_args()
    os.environ.setdefault("GODWIT_BUILD", args.builddir)
    go_ahead()
    vmms = {}
    for vmm in args.vmms.split(","):
        vmms[vmm] = stock_command(args.stock) if vmm == "stock" else environment.godwit_bin()
        print(f"{vmm}: {version_of(vmms[vmm])}", flush=True)
    found = measure(args.rows.split(","), args.variants.split(","), vmms,
                    3 if args.quick else args.runs, args.mem, args.transport)
    print_medians(found)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
