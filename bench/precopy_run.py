#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Precopy of the same running guest on stock QEMU and on godwit in turn.

    python3 bench/precopy_run.py --rows idle,zero --runs 5

The first round of each row only warms the machine up (where this machine is a guest itself, its host
may have to find the memory first) and is not counted. Prints a line for each run, then medians and
the ratios; --json writes all."""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests/qtest"), str(TOP / "bench")]

import felt  # noqa: E402
import postcopy_run as common  # noqa: E402
import verdict  # noqa: E402
from godwit import environment, migration  # noqa: E402

# What the guest does (words of its command line), the machine's memory and the downtime limit.
ROWS = {
    "idle": {"words": {"pattern": "idle"}, "mem": 2048, "ram": 2048 + 32},
    "zero": {"words": {"pattern": "idle"}, "mem": 256, "ram": 8192},
    "dirty": {"words": {"pattern": "dirty", "rate": 100}, "mem": 512, "ram": 512 + 32},
}
VALUES = {"total_ms": "ms", "downtime_ms": "ms", "felt_ms": "ms", "gb_per_s": "GB/s",
          "source_cpu": "CPU s/GB", "target_cpu": "CPU s/GB", "cpu": "CPU s/GB"}

# (text, row, value, most): godwit's median divided by stock's must not be more.
GOALS = [("idle guest: total time", "idle", "total_ms", 0.5),
         ("idle guest: CPU per GB, both ends", "idle", "cpu", 1.0),
         ("mostly zero guest: total time", "zero", "total_ms", 0.5),
         ("dirtying guest: downtime", "dirty", "downtime_ms", 1.0)]


class Ready(common.Ready):
    """The guest at its work in a machine of the row's size."""

    def __init__(self, directory, row):
        self.ram = row["ram"]
        super().__init__(directory, row["words"], row["mem"])


def sized(row):
    """make_machine for the row: more memory than the guest uses, where the row says so."""
    def make(command, name, mem, words, incoming=None, args=()):
        return common.Machine(command, name=name, accel="kvm", mem=f"{row['ram']}M",
                              kernel=environment.guest_elf(),
                              append=" ".join(f"{k}={v}" for k, v in words.items()),
                              serial="socket", incoming=incoming,
                              args=[*row.get("args", ()), *args])
    return make


def move(a, b, hello):
    before = felt.read(a, hello["felt"], hello["tsc_khz"])
    target = migration.listen(b, "tcp:127.0.0.1:0")
    a.qmp.cmd("migrate-set-parameters", {"max-bandwidth": 0})
    cpu = a.cpu_seconds(), b.cpu_seconds()
    start = time.monotonic()
    a.qmp.cmd("migrate", {"uri": target})
    migration.wait_status(a, "completed")
    migration.wait_status(b, "completed")
    wall = time.monotonic() - start
    info = migration.wait_moved(a, b)
    source, target = a.cpu_seconds() - cpu[0], b.cpu_seconds() - cpu[1]
    after = felt.read(b, hello["felt"], hello["tsc_khz"])
    gb = max(info["ram"]["normal-bytes"], 1) / 1e9
    return {
        "total_ms": wall * 1e3,
        "downtime_ms": info["downtime"],
        "outage_ms": (common.event_time(b, "RESUME") - common.event_time(a, "STOP")) * 1e3,
        "felt_ms": (after[1] - before[1]).above_us(common.STALL_US).longest_us() / 1e3,
        "gb_per_s": gb / wall,
        "source_cpu": source / gb,
        "target_cpu": target / gb,
        "cpu": (source + target) / gb,
        "transferred": info["ram"]["transferred"],
    }


def run(command, ready, capabilities=()):
    """One move; the destination has these capabilities as well."""
    a = b = None
    try:
        a = ready.resume(command)
        b = common.make_machine(command, "dst", ready.mem, ready.words, incoming="defer").start()
        for m in (a, b):
            m.qmp.cmd("migrate-set-capabilities", {"capabilities": [
                {"capability": c, "state": True} for c in ("events", "return-path")]})
        b.qmp.cmd("migrate-set-capabilities", {"capabilities": [
            {"capability": c, "state": True} for c in capabilities]})
        return move(a, b, ready.hello)
    finally:
        for m in (a, b):
            if m:
                m.close()


def print_run(row, vmm, r):
    print(f"{row:6} {vmm:6} total {r['total_ms']:6.0f} ms downtime {r['downtime_ms']:4.0f} ms "
          f"felt {r['felt_ms']:6.1f} ms {r['gb_per_s']:5.2f} GB/s CPU s/GB source "
          f"{r['source_cpu']:5.2f} destination {r['target_cpu']:5.2f} "
          f"(load {os.getloadavg()[0]:.1f})", flush=True)


def measure(rows, vmms, runs):
    """{row: {vmm: [run, ...]}}; the VMMs alternate."""
    found = {}
    for row in rows:
        common.make_machine = sized(ROWS[row])
        with tempfile.TemporaryDirectory(prefix="gw-bench-", dir="/tmp") as directory:
            ready = Ready(directory, ROWS[row])
            for i in range(runs + 1):
                for vmm, command in vmms.items():
                    r = run(command, ready)
                    if i:
                        print_run(row, vmm, r)
                        found.setdefault(row, {}).setdefault(vmm, []).append(r)
    return found


def median(found, row, vmm, value):
    runs = found.get(row, {}).get(vmm)
    return statistics.median(r[value] for r in runs) if runs else None


def judge(found):
    """The goals that were measured: (text, ratio, most)."""
    results = []
    for text, row, value, most in GOALS:
        mine, theirs = (median(found, row, vmm, value) for vmm in ("godwit", "stock"))
        if mine is not None and theirs:
            results.append((f"{text}, godwit / stock", mine / theirs, most))
    return results


def print_medians(found):
    print(f"\n{'medians':8} {'':6} " + " ".join(f"{v:>12}" for v in VALUES))
    for row, vmms in found.items():
        for vmm in vmms:
            print(f"{row:8} {vmm:6} " +
                  " ".join(f"{median(found, row, vmm, v):12.2f}" for v in VALUES))
    print()
    verdict.print_goals(judge(found))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--stock", help="a QEMU binary, or a tree to chroot into")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--json")
    args = p.parse_args()
    os.environ.setdefault("GODWIT_BUILD", args.builddir)
    common.go_ahead()
    vmms = {"stock": common.stock_command(args.stock), "godwit": environment.godwit_bin()}
    for vmm, command in vmms.items():
        print(f"{vmm}: {common.version_of(command)}", flush=True)
    found = measure(args.rows.split(","), vmms, args.runs)
    print_medians(found)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
