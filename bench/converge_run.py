#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that dirties memory as fast as the link carries it, or faster, and what ends the migration:
auto-converge alone, with background-sync, dirty-limit, postcopy; stock QEMU beside it.

    python3 bench/converge_run.py --links 100 --loads 1 --sets 90 --mem 512 --runs 1
    python3 bench/converge_run.py --json found.json --seconds 90   # again and again, until it is full

Links are shaped (shaped_link.py), so it takes root. Operations are the guest's own count, read from its
memory right before and right after; lost are those that it did before at that time and not meanwhile.
The row `monitor` measures how long QMP takes to answer during background syncs of 8 GiB."""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests/qtest"), str(TOP / "bench")]

import chart  # noqa: E402
import converge_table as table  # noqa: E402
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
RUN_S, READY_S, EXPECT = 8, 8, 5  # a run: so long, and so many times memory over the link; rough


def way_of(name):
    """Its capabilities, parameters by link, and whether stock has it. background-sync:3 is
    background-sync with background-sync-finish 3."""
    way, _, finish = name.partition(":")
    capabilities, parameters, common_way = WAYS[way]
    if not finish:
        return capabilities, parameters, common_way
    return (capabilities,
            lambda link: {**parameters(link), "background-sync-finish": int(finish)}, common_way)


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
    capabilities, parameters, _ = way_of(way)
    both = [c for c in capabilities if c.startswith("postcopy")]
    for m, names in ((a, capabilities), (b, both)):
        m.qmp.cmd("migrate-set-capabilities", {"capabilities": [
            {"capability": c, "state": True} for c in names]})
    a.qmp.cmd("migrate-set-parameters", {"max-bandwidth": 0, **parameters(link.mb)})


def note(history, info):
    """Adds (ms, pass, throttle, MB left) where a pass ended or the throttle changed."""
    ram = info.get("ram")
    if not ram:
        return
    now = (ram["dirty-sync-count"], info.get("cpu-throttle-percentage", 0))
    if not history or tuple(history[-1][1:3]) != now:
        history.append([info["total-time"], *now, round(ram["remaining"] / 1e6, 1)])


def watch(source, way, seconds):
    """Polls to the end; (last reply, what happened meanwhile). Postcopy begins with the second
    pass."""
    end, history, begun = time.monotonic() + seconds, [], False
    while True:
        info = source.qmp.cmd("query-migrate")
        note(history, info)
        if info["status"] in migration.ENDED:
            return info, history
        if way == "postcopy" and not begun and info.get("ram", {}).get("dirty-sync-count", 0) > 1:
            source.qmp.cmd("migrate-start-postcopy")
            begun = True
        if time.monotonic() > end:
            return info, history
        time.sleep(0.02)


def move(a, b, way, link, hello):
    target = migration.listen(b, f"tcp:{link.address}:0")
    start = operations(a, hello)
    time.sleep(BASE_S)
    before = operations(a, hello)
    rate = (before[1] - start[1]) / (before[0] - start[0])
    a.qmp.cmd("migrate", {"uri": target})
    info, history = watch(a, way, LIMIT * (hello["pages"] * 4096 / 1e6) / link.mb)
    converged = info["status"] == "completed"
    if converged:
        b.wait_run_state("running")
    after = operations(b if converged else a, hello)
    seconds = after[0] - before[0]
    lost = rate * seconds - (after[1] - before[1])
    return {"converged": converged, "total_s": seconds, "lost_percent": 100 * lost / rate / seconds,
            "lost_s": lost / rate, "downtime_ms": info.get("downtime", 0), "throttle": max((h[2] for h in history), default=0), "history": history,
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
    print(f"{row:24} {vmm:6} {way:15} {'' if r['converged'] else 'NOT CONVERGED '}{r['total_s']:6.1f} s "
          f"lost {r['lost_percent']:5.1f} % = {r['lost_s']:5.2f} s, downtime {r['downtime_ms']:4} ms, "
          f"throttle {r['throttle']:2} %, {r['passes']} passes, {r['sent_gb']:.2f} GB, guest "
          f"{r['rate_mb']:.0f} MB/s {r['background'] or ''}", flush=True)


class Clock:
    """Whether there is time for one more run; None: there always is."""

    def __init__(self, seconds):
        self.end = None if seconds is None else time.monotonic() + seconds

    def allows(self, seconds):
        return self.end is None or time.monotonic() + seconds <= self.end


def wanted(found, row, ways, vmms, runs):
    """(way, VMM) of the runs that are still to be made, in turn."""
    have = {what: len(r) for what, r in found.get(row, {}).items()}
    return [(way, vmm) for i in range(runs) for way in ways for vmm in vmms
            if have.get(f"{vmm} {way}", 0) <= i and (vmm != "stock" or way_of(way)[2])]


def measure_row(found, row, words, mem, link, todo, vmms, clock, keep):
    """Makes the runs of `todo` as far as there is time."""
    guess = RUN_S + EXPECT * mem * 1.05 / link.mb
    if not todo or not clock.allows(guess + READY_S):
        return
    with tempfile.TemporaryDirectory(prefix="gw-bench-", dir="/tmp") as directory:
        common.make_machine = machine_in(None, "")
        ready = common.Ready(directory, words, mem)
        for way, vmm in todo:
            if not clock.allows(guess):
                return
            r = run(vmms[vmm], ready, way, link)
            print_run(row, way, vmm, r)
            found.setdefault(row, {}).setdefault(f"{vmm} {way}", []).append(r)
            keep()


def measure(vmms, runs, mem, links=LINKS, loads=LOADS, sets=SETS, ways=tuple(WAYS),
            pattern="dirty", found=None, clock=Clock(None), keep=lambda: None):
    """{row: {"VMM way": [run, ...]}}; what is in `found` already is not measured again."""
    found = {} if found is None else found
    for mb in links:
        with ShapedLink(mb) as link:
            for load in loads:
                for working_set in sets:
                    words = {"pattern": pattern, "write": 100, "rate": int(mb * load),
                             "working-set": working_set}
                    row = table.row_name(pattern, mem, mb, load, working_set)
                    measure_row(found, row, words, mem, link,
                                wanted(found, row, ways, vmms, runs), vmms, clock, keep)
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


def monitor_rows(command):
    sim = f"sim,pattern=dirty,rate=50,working-set={MONITOR_RAM - 64}M,base=4M,report=200"
    found = {}
    for accel in ("kvm", sim):
        name = accel.split(",")[0]
        found[name] = measure_monitor(command, accel)
        print_monitor(name, found[name])
    return found


def numbers(kind):
    return lambda text: [kind(x) for x in text.split(",")]


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--stock", help="a QEMU binary, or a tree to chroot into; none: leave it out")
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--mem", type=int, default=1024, help="MiB")
    p.add_argument("--links", type=numbers(int), default=LINKS, help="MB/s")
    p.add_argument("--loads", type=numbers(float), default=LOADS, help="times the link")
    p.add_argument("--sets", type=numbers(int), default=SETS, help="percent of memory")
    p.add_argument("--ways", default=",".join(WAYS))
    p.add_argument("--pattern", default="dirty", help="dirty: random; seq: in order")
    p.add_argument("--no-monitor", action="store_true")
    p.add_argument("--json", type=pathlib.Path,
                   help="where runs are kept: those that are in it are not made again")
    p.add_argument("--seconds", type=float,
                   help="begin no run that would not end within this time; go on later, by --json")
    p.add_argument("--svg", type=pathlib.Path, help="a chart of the ratios")
    return p.parse_args()


def load(path):
    if path and path.exists():
        kept = json.loads(path.read_text())
        return kept["rows"], kept["monitor"]
    return {}, {}


def keeper(path, found, monitor):
    def keep():
        if path:
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps({"rows": found, "monitor": monitor}, indent=1) + "\n")
            fresh.replace(path)
    return keep


def main():
    args = arguments()
    os.environ.setdefault("GODWIT_BUILD", args.builddir)
    if os.geteuid():
        sys.exit("converge: shaped links need root")
    common.go_ahead()
    vmms = {"godwit": environment.godwit_bin()}
    if args.stock != "none":
        vmms["stock"] = common.stock_command(args.stock)
    for vmm, command in vmms.items():
        print(f"{vmm}: {common.version_of(command)}", flush=True)
    found, monitor = load(args.json)
    keep = keeper(args.json, found, monitor)
    if not args.no_monitor and not monitor:
        monitor.update(monitor_rows(vmms["godwit"]))
        keep()
    measure(vmms, args.runs, args.mem, args.links, args.loads, args.sets, args.ways.split(","),
            args.pattern, found, Clock(args.seconds), keep)
    table.print_medians(found, monitor)
    print("\n" + table.rst(found))
    if args.svg:
        args.svg.write_text(chart.ratios_svg("Convergence; the mark is the goal",
                                             table.judge(found, monitor)))


if __name__ == "__main__":
    main()
