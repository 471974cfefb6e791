#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Precopy of an idle guest of which 90 % are zero pages: godwit with skip-zero-pages on and off, and
stock QEMU beside it.

    python3 bench/zero_run.py --rows untouched,touched --ram 8192 --runs 5

`untouched`: nobody ever wrote to the zero pages. `touched`: they have memory behind them at the source
(-mem-prealloc), as after a guest that clears what it frees, so that each has to be looked at. The
first round of each row is not counted. Prints a line for each run, then medians and the ratios."""
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

import postcopy_run as common  # noqa: E402
import verdict  # noqa: E402
import precopy_run  # noqa: E402
from godwit import environment, migration  # noqa: E402

# Arguments of the source.
ROWS = {"untouched": (), "touched": ("-mem-prealloc",)}
# (name, VMM, capabilities of both ends beyond return-path).
VARIANTS = (("stock", "stock", ()), ("off", "godwit", ()), ("skip", "godwit", ("skip-zero-pages",)))
VALUES = ("total_ms", "sent_mb", "zero_bytes", "source_cpu", "target_cpu")
GOAL = 0.6  # of the time without it


def set_up(machine, capabilities):
    machine.qmp.cmd("migrate-set-capabilities", {"capabilities": [
        {"capability": c, "state": True} for c in ("return-path", "events", *capabilities)]})


def move(a, b):
    uri = migration.listen(b, "tcp:127.0.0.1:0")
    a.qmp.cmd("migrate-set-parameters", {"max-bandwidth": 0})
    cpu = a.cpu_seconds(), b.cpu_seconds()
    start = time.monotonic()
    a.qmp.cmd("migrate", {"uri": uri})
    # Events, not polls: what asks all the time takes part of a processor that is needed.
    for vm in (a, b):
        vm.qmp.wait_event("MIGRATION", status="completed")
    wall = time.monotonic() - start
    info = migration.wait_moved(a, b)
    ram = info["ram"]
    return {"total_ms": wall * 1e3, "setup_ms": info["setup-time"],
            "sent_mb": ram["transferred"] / 1e6, "normal": ram["normal"],
            # What is not normal pages and their headers; device state is in it.
            "zero_bytes": ram["transferred"] - ram["normal"] * (ram["page-size"] + 8),
            "zero": ram["duplicate"], "skipped": ram.get("skipped", 0),
            "source_cpu": a.cpu_seconds() - cpu[0], "target_cpu": b.cpu_seconds() - cpu[1]}


def run(command, ready, source_args, capabilities):
    a = b = None
    plain = common.make_machine
    try:
        common.make_machine = lambda *args, **kw: plain(*args, **{**kw, "args": source_args})
        a = ready.resume(command)
        b = plain(command, "dst", ready.mem, ready.words, incoming="defer").start()
        for vm in (a, b):
            set_up(vm, capabilities)
        return move(a, b)
    finally:
        common.make_machine = plain
        for vm in (a, b):
            if vm:
                vm.close()


def print_run(row, variant, r):
    print(f"{row:9} {variant:6} total {r['total_ms']:6.0f} ms (setup {r['setup_ms']:3} ms) sent "
          f"{r['sent_mb']:7.1f} MB, beside normal pages {r['zero_bytes']:9} bytes; zero {r['zero']} "
          f"skipped {r['skipped']}; CPU s source {r['source_cpu']:5.2f} destination "
          f"{r['target_cpu']:5.2f} (load {os.getloadavg()[0]:.1f})", flush=True)


def measure(rows, vmms, runs, ram):
    """{row: {variant: [run, ...]}}; the variants alternate."""
    found = {}
    guest = {"words": {"pattern": "idle"}, "mem": ram // 10, "ram": ram}
    common.make_machine = precopy_run.sized(guest)
    with tempfile.TemporaryDirectory(prefix="gw-bench-", dir="/tmp") as directory:
        ready = precopy_run.Ready(directory, guest)
        for row in rows:
            found[row] = {}
            for i in range(runs + 1):
                for name, vmm, capabilities in VARIANTS:
                    r = run(vmms[vmm], ready, ROWS[row], capabilities)
                    if i:
                        print_run(row, name, r)
                        found[row].setdefault(name, []).append(r)
    return found


def median(found, row, variant, value):
    return statistics.median(r[value] for r in found[row][variant])


def judge(found):
    """(text, ratio, most) of each row."""
    results = []
    for row in found:
        skip, off, stock = (median(found, row, v, "total_ms") for v in ("skip", "off", "stock"))
        results.append((f"90 % zero, {row}: time with skip-zero-pages / without", skip / off, GOAL))
        results.append((f"90 % zero, {row}: time with skip-zero-pages / stock", skip / stock, GOAL))
    return results


def print_medians(found):
    print(f"\n{'medians':17} " + " ".join(f"{v:>12}" for v in VALUES))
    for row, variants in found.items():
        for variant in variants:
            print(f"{row:10} {variant:6} " +
                  " ".join(f"{median(found, row, variant, v):12.2f}" for v in VALUES))
    print()
    verdict.print_goals(judge(found))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--stock", help="a QEMU binary, or a tree to chroot into")
    p.add_argument("--ram", type=int, default=8192, help="MiB of the guest")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--json")
    args = p.parse_args()
    os.environ.setdefault("GODWIT_BUILD", args.builddir)
    common.go_ahead()
    vmms = {"stock": common.stock_command(args.stock), "godwit": environment.godwit_bin()}
    found = measure(args.rows.split(","), vmms, args.runs, args.ram)
    print_medians(found)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
