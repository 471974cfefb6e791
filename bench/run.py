#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench: godwit against stock QEMU, the same guest and options, in turn. Ends in a table of
ratios; JSON and a chart go to bench/results/.

    make bench BENCH_FLAGS="--quick --stock /path/to/tree-or-binary --groups precopy"
"""
import argparse
import json
import os
import pathlib
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests/qtest"), str(TOP / "bench")]

import chart  # noqa: E402
import converge_run  # noqa: E402
import converge_table  # noqa: E402
import devices_run  # noqa: E402
import postcopy_run  # noqa: E402
import precopy_run  # noqa: E402
import zero_run  # noqa: E402
from godwit import environment  # noqa: E402


def precopy(vmms, args):
    found = precopy_run.measure(precopy_run.ROWS, vmms, args.runs)
    precopy_run.print_medians(found)
    return found, precopy_run.judge(found)


def postcopy(vmms, args):
    machine = postcopy_run.make_machine
    found = postcopy_run.measure(postcopy_run.PATTERNS, postcopy_run.VARIANTS, vmms, args.runs,
                                 args.mem, "tcp")
    assert postcopy_run.make_machine is machine
    postcopy_run.print_medians(found)
    return found, postcopy_run.judge(found)


def zero(vmms, args):
    found = zero_run.measure(zero_run.ROWS, vmms, args.runs, args.zero_ram)
    zero_run.print_medians(found)
    return found, zero_run.judge(found)


def converge(vmms, args):
    monitor = converge_run.monitor_rows(vmms["godwit"])
    found = converge_run.measure(vmms, args.runs, args.mem)
    converge_table.print_medians(found, monitor)
    return {"rows": found, "monitor": monitor}, converge_table.judge(found, monitor)


def devices(vmms, args):
    found = devices_run.measure(vmms, args.runs)
    devices_run.print_medians(found)
    return found, devices_run.judge(found)


GROUPS = {"postcopy": postcopy, "precopy": precopy, "converge": converge, "zero": zero,
          "devices": devices}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--groups", default=",".join(GROUPS))
    p.add_argument("--stock", default=os.environ.get("GODWIT_STOCK"),
                   help="a QEMU binary, or a tree to chroot into; default: the newest there is")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--quick", action="store_true", help="3 runs")
    p.add_argument("--zero-ram", type=int, default=8192, help="MiB of the guest of mostly zeros")
    p.add_argument("--mem", type=int, default=1024, help="MiB of the guest of postcopy and converge")
    args = p.parse_args()
    args.runs = 3 if args.quick else args.runs
    os.environ.setdefault("GODWIT_BUILD", str((TOP / args.builddir).resolve()))
    if environment.accel() != "kvm":
        sys.exit("bench: a comparison with stock QEMU needs /dev/kvm")
    postcopy_run.go_ahead()
    vmms = {"stock": postcopy_run.stock_command(args.stock), "godwit": environment.godwit_bin()}
    versions = {vmm: postcopy_run.version_of(c) for vmm, c in vmms.items()}
    print("\n".join(f"{vmm}: {v}" for vmm, v in versions.items()), flush=True)
    out, results = {"versions": versions, "time": time.strftime("%F %T")}, []
    for group in args.groups.split(","):
        out[group], judged = GROUPS[group](vmms, args)
        results += judged
    folder = TOP / "bench/results"
    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(out, indent=1) + "\n")
    title = f"godwit as a share of {versions['stock'].split('(')[0].strip()}; the mark is the goal"
    (folder / "bench.svg").write_text(chart.ratios_svg(title, results))
    print(f"\nwritten: {folder}/bench.json and bench.svg")


if __name__ == "__main__":
    main()
