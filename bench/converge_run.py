#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that dirties memory as fast as the link carries it, or faster, and what ends the migration:
auto-converge alone, with background-sync, dirty-limit, postcopy; stock QEMU beside it.

    python3 bench/converge_run.py --links 100 --loads 1 --sets 90 --mem 512 --runs 1

Links are shaped (shaped_link.py), so it takes root. Operations are the guest's own count, read from its
memory right before and right after; lost are those that it did before at that time and not meanwhile.
The row `monitor` measures how long QMP takes to answer during background syncs of 8 GiB."""
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
from godwit import environment, migration  # noqa: E402
from shaped_link import ShapedLink  # noqa: E402

LINKS = (100, 200, 400)   # MB/s
LOADS = (0.5, 1, 2)       # of the link: what the guest dirties
SETS = (25, 90)           # percent of its memory that it writes to
BASE_S = 2                # how long the guest is watched before it moves
TOUCHES = 2               # counted loads of an operation: the page and its generation
LIMIT = 12                # times all of memory over the link: given up then
MONITOR_RAM = 8192        # MiB
MONITOR_S = 5

# Capabilities and parameters of the source (per link, MB/s), and whether stock QEMU has it as well.
WAYS = {
    "auto-converge": (("auto-converge",), lambda link: {}, True),
    "background-sync": (("auto-converge", "background-sync"),
                        lambda link: {"background-sync-interval": 1000}, False),
    "dirty-limit": (("dirty-limit",), lambda link: {"vcpu-dirty-limit": max(link // 2, 1)}, False),
    "postcopy": (("postcopy-ram", "postcopy-preempt"), lambda link: {}, True),
}
VALUES = {"total_s": "s", "lost_percent": "% of operations", "lost_s": "s of operations",
          "downtime_ms": "ms", "throttle": "%", "sent_gb": "GB"}


def machine_in(link, end, args=()):
    """make_machine that starts at one end of the link; `args` are only godwit's."""
    def make(command, name, mem, words, incoming=None):
        return common.Machine(command, name=name, accel="kvm", mem=f"{mem + 32}M",
                              kernel=environment.guest_elf(),
                              append=" ".join(f"{k}={v}" for k, v in words.items()),
                              serial="socket", incoming=incoming, args=args,
                              wrapper=getattr(link, end) if link else ())
    return make


def operations(machine, hello):
    """(time, operations so far) of the guest in this machine."""
    touches = felt.read(machine, hello["felt"], hello["tsc_khz"])[0]
    return time.monotonic(), touches.count()


def set_up(a, b, way, link):
    capabilities, parameters, _ = WAYS[way]
    both = [c for c in capabilities if c.startswith("postcopy")]
    for m, names in ((a, capabilities), (b, both)):
        m.qmp.cmd("migrate-set-capabilities", {"capabilities": [
            {"capability": c, "state": True} for c in names]})
    a.qmp.cmd("migrate-set-parameters", {"max-bandwidth": 0, **parameters(link.mb)})


def watch(source, way, seconds):
    """Polls to the end; (last reply, largest throttle). Postcopy begins with the second pass."""
    end, throttle, begun = time.monotonic() + seconds, 0, False
    while True:
        info = source.qmp.cmd("query-migrate")
        throttle = max(throttle, info.get("cpu-throttle-percentage", 0))
        if info["status"] in migration.ENDED:
            return info, throttle
        if way == "postcopy" and not begun and info.get("ram", {}).get("dirty-sync-count", 0) > 1:
            source.qmp.cmd("migrate-start-postcopy")
            begun = True
        if time.monotonic() > end:
            return info, throttle
        time.sleep(0.02)


def move(a, b, way, link, hello):
    target = migration.listen(b, f"tcp:{link.address}:0")
    start = operations(a, hello)
    time.sleep(BASE_S)
    before = operations(a, hello)
    rate = (before[1] - start[1]) / (before[0] - start[0])
    a.qmp.cmd("migrate", {"uri": target})
    info, throttle = watch(a, way, LIMIT * (hello["pages"] * 4096 / 1e6) / link.mb)
    converged = info["status"] == "completed"
    if converged:
        b.wait_run_state("running")
    after = operations(b if converged else a, hello)
    seconds = after[0] - before[0]
    lost = rate * seconds - (after[1] - before[1])
    return {"converged": converged, "total_s": seconds, "lost_percent": 100 * lost / rate / seconds,
            "lost_s": lost / rate, "downtime_ms": info.get("downtime", 0), "throttle": throttle,
            "sent_gb": info["ram"]["transferred"] / 1e9, "passes": info["ram"]["dirty-sync-count"],
            "background": info.get("background-sync", {}), "rate_mb": rate * 4096 / TOUCHES / 1e6}


def run(command, ready, way, link):
    a = b = None
    try:
        common.make_machine = machine_in(link, "source")
        a = ready.resume(command)
        b = machine_in(link, "destination")(command, "dst", ready.mem, ready.words,
                                            incoming="defer").start()
        set_up(a, b, way, link)
        return move(a, b, way, link, ready.hello)
    finally:
        for m in (a, b):
            if m:
                m.close()


def print_run(row, way, vmm, r):
    print(f"{row:14} {vmm:6} {way:15} {'' if r['converged'] else 'NOT CONVERGED '}{r['total_s']:6.1f} s "
          f"lost {r['lost_percent']:5.1f} % = {r['lost_s']:5.2f} s, downtime {r['downtime_ms']:4} ms, "
          f"throttle {r['throttle']:2} %, {r['passes']} passes, {r['sent_gb']:.2f} GB, guest "
          f"{r['rate_mb']:.0f} MB/s {r['background'] or ''}", flush=True)


def measure_row(found, row, words, mem, link, ways, vmms, runs):
    with tempfile.TemporaryDirectory(prefix="gw-bench-", dir="/tmp") as directory:
        common.make_machine = machine_in(None, "")
        ready = common.Ready(directory, words, mem)
        for _ in range(runs):
            for way in ways:
                for vmm, command in vmms.items():
                    if vmm == "stock" and not WAYS[way][2]:
                        continue
                    r = run(command, ready, way, link)
                    print_run(row, way, vmm, r)
                    found.setdefault(row, {}).setdefault(f"{vmm} {way}", []).append(r)


def measure(vmms, runs, mem, links=LINKS, loads=LOADS, sets=SETS, ways=tuple(WAYS),
            pattern="dirty"):
    """{row: {"VMM way": [run, ...]}}"""
    found = {}
    for mb in links:
        with ShapedLink(mb) as link:
            for load in loads:
                for working_set in sets:
                    words = {"pattern": pattern, "write": 100, "rate": int(mb * load),
                             "working-set": working_set}
                    measure_row(found, f"{mb}x{load:g}/{working_set}%", words, mem, link, ways,
                                vmms, runs)
    return found


def measure_monitor(command, accel):
    """The longest that QMP takes to answer while background syncs go over 8 GiB."""
    work = {"accel": accel} if accel.startswith("sim") else {
        "accel": "kvm", "kernel": environment.guest_elf(),
        "append": "pattern=dirty write=100 mem=256 rate=200 sweep=0"}
    a = common.Machine(command, name="src", mem=f"{MONITOR_RAM}M", **work)
    b = common.Machine(command, name="dst", mem=f"{MONITOR_RAM}M", incoming="defer", **work)
    try:
        a.start()
        b.start()
        a.guest.wait_reports(1)
        migration.set_capabilities(a, auto_converge=True, background_sync=True)
        migration.set_parameters(a, background_sync_interval=20, background_sync_first_pass=True,
                                 max_bandwidth=20 << 20, throttle_trigger_threshold=100,
                                 cpu_throttle_increment=1, cpu_throttle_initial=1,
                                 cpu_throttle_tailslow=True)
        a.qmp.cmd("migrate", {"uri": migration.listen(b, "tcp:127.0.0.1:0")})
        migration.wait_status(a, "active")
        took, end = [], time.monotonic() + MONITOR_S
        while time.monotonic() < end:
            begin = time.monotonic()
            a.qmp.cmd("query-status")
            took.append((time.monotonic() - begin) * 1e3)
            time.sleep(0.0005)
        info = a.qmp.cmd("query-migrate")
        a.qmp.cmd("migrate_cancel")
        syncs = info["background-sync"]
        return {"longest_ms": max(took), "p99_ms": sorted(took)[len(took) * 99 // 100],
                "answers": len(took), "syncs": syncs["syncs"],
                "sync_ms": syncs["time"] / 1e3 / max(syncs["syncs"], 1)}
    finally:
        a.close()
        b.close()


def print_monitor(accel, r):
    print(f"monitor, {MONITOR_RAM} MiB, {accel}: longest {r['longest_ms']:.1f} ms, 99 % within "
          f"{r['p99_ms']:.1f} ms, {r['answers']} answers beside {r['syncs']} syncs of "
          f"{r['sync_ms']:.1f} ms", flush=True)


def median(found, row, what, value):
    runs = found.get(row, {}).get(what)
    return statistics.median(r[value] for r in runs) if runs else None


def judge(found, monitor=None):
    """(text, ratio, most) of the goals that were measured."""
    results = []
    for row in found:
        if "x1/90%" not in row:
            continue
        mine, alone, theirs = (median(found, row, what, "total_s") for what in (
            "godwit background-sync", "godwit auto-converge", "stock auto-converge"))
        for text, other, most in (("auto-converge", alone, 0.7), ("stock", theirs, 1.0)):
            if mine and other:
                results.append((f"{row}: time with background-sync / {text}", mine / other, most))
        lost = [median(found, row, f"godwit {w}", "lost_percent") for w in
                ("background-sync", "auto-converge")]
        if None not in lost:
            results.append((f"{row}: operations lost a second, background-sync / auto-converge",
                            max(lost[0], 0.5) / max(lost[1], 0.5), 1.0))
    for accel, r in (monitor or {}).items():
        results.append((f"longest answer of the monitor, {accel}, of 20 ms", r["longest_ms"] / 20,
                        1.0))
    return results


def print_medians(found, monitor=None):
    print("\nmedians        " + " " * 24 + " ".join(f"{v:>13}" for v in VALUES))
    for row, whats in found.items():
        for what in whats:
            print(f"{row:14} {what:24}" +
                  " ".join(f"{median(found, row, what, v):13.2f}" for v in VALUES))
    print()
    for text, ratio, most in judge(found, monitor):
        print(f"{text}: {ratio:.2f} (goal: at most {most}) {'ok' if ratio <= most else 'MISSED'}")


def monitor_rows(command):
    sim = f"sim,pattern=dirty,rate=50,working-set={MONITOR_RAM - 64}M,base=4M,report=200"
    found = {}
    for accel in ("kvm", sim):
        name = accel.split(",")[0]
        found[name] = measure_monitor(command, accel)
        print_monitor(name, found[name])
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--stock", help="a QEMU binary, or a tree to chroot into; none: leave it out")
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--mem", type=int, default=1024, help="MiB")
    p.add_argument("--links", default=",".join(map(str, LINKS)), help="MB/s")
    p.add_argument("--loads", default=",".join(map(str, LOADS)), help="times the link")
    p.add_argument("--sets", default=",".join(map(str, SETS)), help="percent of memory")
    p.add_argument("--ways", default=",".join(WAYS))
    p.add_argument("--pattern", default="dirty", help="dirty: random; seq: in order")
    p.add_argument("--no-monitor", action="store_true")
    p.add_argument("--json")
    args = p.parse_args()
    os.environ.setdefault("GODWIT_BUILD", args.builddir)
    if os.geteuid():
        sys.exit("converge: shaped links need root")
    common.go_ahead()
    vmms = {"godwit": environment.godwit_bin()}
    if args.stock != "none":
        vmms["stock"] = common.stock_command(args.stock)
    for vmm, command in vmms.items():
        print(f"{vmm}: {common.version_of(command)}", flush=True)
    monitor = {} if args.no_monitor else monitor_rows(vmms["godwit"])
    found = measure(vmms, args.runs, args.mem, [int(x) for x in args.links.split(",")],
                    [float(x) for x in args.loads.split(",")],
                    [int(x) for x in args.sets.split(",")], args.ways.split(","), args.pattern)
    print_medians(found, monitor)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"rows": found, "monitor": monitor},
                                                      indent=1) + "\n")


if __name__ == "__main__":
    main()
