#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The downtime of an idle guest with eight virtio devices in use, four disks and four network cards:
stock QEMU, godwit, and godwit with batch-vmstate-load, in turn.

    python3 bench/devices_run.py --mem 2048 --runs 5

`outage` is the time from the source's event STOP to the destination's RESUME, which both VMMs send at
the same moments; `downtime` is what the source says (query-migrate), in whole milliseconds. The guest
has set up all rings (tests/guest/attach.c) and halts. The first round is not counted; the order
changes from round to round."""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests/qtest"), str(TOP / "bench")]

import postcopy_run as common  # noqa: E402
import verdict  # noqa: E402
import precopy_run  # noqa: E402
from godwit import disk, echo, environment  # noqa: E402

EACH = 4  # disks, and as many cards
BATCHED = "batched"
# (text, value, VMM, most): its median divided by stock's must not be more.
GOALS = [(f"idle guest with {2 * EACH} devices: {value}", f"{value}_ms", vmm, 0.5)
         for value in ("outage", "downtime") for vmm in ("godwit", BATCHED)]


@contextlib.contextmanager
def row(mem, layout):
    """The row for precopy_run: images, and somebody to connect the cards to."""
    with tempfile.TemporaryDirectory(prefix="gw-bench-", dir="/tmp") as folder:
        server = echo.StreamEcho(f"{folder}/net").start()
        args = []
        for n in range(EACH):
            args += disk.arguments(disk.image(f"{folder}/disk{n}"), layout, n=n)
            args += ["-netdev", f"stream,id=n{n},addr.type=unix,addr.path={folder}/net,server=off",
                     "-device", f"virtio-net-device,netdev=n{n},mac=52:54:00:12:34:{n:02x}"]
        try:
            yield {"words": {"pattern": "idle", "attach": 1}, "mem": mem, "ram": mem + 32,
                   "args": args}
        finally:
            server.close()


def print_run(vmm, r):
    print(f"{vmm:8} outage {r['outage_ms']:6.2f} ms downtime {r['downtime_ms']:4.0f} ms total "
          f"{r['total_ms']:6.0f} ms (load {os.getloadavg()[0]:.1f})", flush=True)


def measure(vmms, runs, mem=2048, layout="modern"):
    """{vmm: [run, ...]}, `batched` beside godwit; they alternate."""
    ways = [(vmm, command, ()) for vmm, command in vmms.items()]
    ways += [(BATCHED, vmms["godwit"], ("batch-vmstate-load",))]
    found = {}
    with row(mem, layout) as r, tempfile.TemporaryDirectory(prefix="gw-bench-") as folder:
        common.make_machine = precopy_run.sized(r)
        ready = precopy_run.Ready(folder, r)
        assert ready.hello["attached"] == 2 * EACH, ready.hello
        for i in range(runs + 1):
            at = i % len(ways)  # nobody always follows the same one
            for vmm, command, capabilities in ways[at:] + ways[:at]:
                one = precopy_run.run(command, ready, capabilities)
                if i:
                    print_run(vmm, one)
                    found.setdefault(vmm, []).append(one)
    return found


def median(found, vmm, value):
    return statistics.median(r[value] for r in found[vmm])


def judge(found):
    """(text, ratio, most)"""
    return [(f"{text}, {vmm} / stock", median(found, vmm, value) / median(found, "stock", value),
             most) for text, value, vmm, most in GOALS if median(found, "stock", value)]


def print_medians(found):
    print(f"\n{'medians':8} {'outage ms':>10} {'downtime ms':>12} {'total ms':>10}")
    for vmm in found:
        print(f"{vmm:8} {median(found, vmm, 'outage_ms'):10.2f} "
              f"{median(found, vmm, 'downtime_ms'):12.1f} {median(found, vmm, 'total_ms'):10.0f}")
    print()
    verdict.print_goals(judge(found))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--stock", help="a QEMU binary, or a tree to chroot into")
    p.add_argument("--mem", type=int, default=2048, help="MiB that the guest has filled")
    p.add_argument("--layout", choices=("legacy", "modern"), default="modern",
                   help="version of the transports")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--json")
    args = p.parse_args()
    os.environ.setdefault("GODWIT_BUILD", args.builddir)
    common.go_ahead()
    vmms = {"stock": common.stock_command(args.stock), "godwit": environment.godwit_bin()}
    for vmm, command in vmms.items():
        print(f"{vmm}: {common.version_of(command)}", flush=True)
    found = measure(vmms, args.runs, args.mem, args.layout)
    print_medians(found)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
