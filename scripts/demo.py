#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make demo: a running guest moves live from one process to another, watched in the terminal.

The migration starts as precopy and switches to postcopy in mid-flight, with the preempt channel, the
page hint and prefetch on. Without KVM the workload is accelerator sim; without userfaultfd it stays a
precopy; both are said. Exit status 0 only if the guest found no wrong page."""
import argparse
import os
import pathlib
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests" / "qtest"))

CAPABILITIES = ["events", "return-path", "postcopy-ram", "postcopy-blocktime", "postcopy-preempt",
                "postcopy-preempt-hint", "postcopy-prefetch"]
MIB = 1 << 20
BAR = 32


class View:
    """One line that is redrawn on a terminal; a line a second elsewhere."""

    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.last = 0.0

    def say(self, text):
        if self.tty:
            sys.stdout.write("\r\033[K")
        print(text, flush=True)

    def show(self, text, force=False):
        now = time.monotonic()
        if self.tty:
            sys.stdout.write("\r\033[K" + text)
            sys.stdout.flush()
        elif force or now - self.last >= 1:
            print(text, flush=True)
            self.last = now

    def end(self):
        if self.tty:
            sys.stdout.write("\n")


def progress(info, started):
    """One line: bar, amount, throughput, dirty rate, expected end."""
    ram = info.get("ram")
    if not ram:
        return f"{info.get('status', 'none'):>16}"
    total, left = ram["total"], ram["remaining"]
    done = 1 - left / total if total else 1
    filled = int(done * BAR)
    speed = ram["mbps"] / 8
    rate = ram["dirty-pages-rate"] * ram["page-size"] / MIB
    eta = f"{left / MIB / speed:4.1f} s left" if speed > 1 else "     -    "
    return (f"{info['status']:>16} [{'#' * filled}{'.' * (BAR - filled)}] "
            f"{(total - left) / MIB:5.0f} of {total / MIB:.0f} MiB  {speed:5.0f} MB/s  "
            f"dirty {rate:4.0f} MB/s  {eta}  {time.monotonic() - started:4.1f} s")


def histogram(dist):
    """Bars for the buckets in use: powers of two of microseconds."""
    used = [i for i, n in enumerate(dist) if n]
    if not used:
        return []
    most = max(dist)
    lines = []
    for i in range(used[0], used[-1] + 1):
        low = 1 << i
        unit = f"{low} us" if low < 1000 else f"{low / 1000:.1f} ms"
        width = round(dist[i] / most * 40)
        lines.append(f"  from {unit:>8}  {'#' * width}{'.' if dist[i] and not width else ''} "
                     f"{dist[i]}")
    return lines


def set_up(view, source, destination):
    """The capabilities on both ends; whether postcopy is possible."""
    wanted = [{"capability": c, "state": True} for c in CAPABILITIES]
    try:
        destination.qmp.cmd("migrate-set-capabilities", {"capabilities": wanted})
    except Exception as e:  # the reason is the VMM's own text
        view.say(f"postcopy is not possible here, so this is a precopy: {e}")
        wanted = [w for w in wanted if "postcopy" not in w["capability"]]
        destination.qmp.cmd("migrate-set-capabilities", {"capabilities": wanted})
    source.qmp.cmd("migrate-set-capabilities", {"capabilities": wanted})
    return any("postcopy" in w["capability"] for w in wanted)


def watch(view, source, destination, postcopy, switch_at):
    """Until both ends have ended; the last replies of source and destination."""
    started = time.monotonic()
    switched = False
    while True:
        info = source.qmp.cmd("query-migrate")
        view.show(progress(info, started))
        ram = info.get("ram")
        if postcopy and not switched and ram and info["status"] == "active" and (
                1 - ram["remaining"] / ram["total"] >= switch_at):
            view.show(progress(info, started), force=True)
            view.say(f"\n{'':>16} -- to postcopy: the guest goes on over there, its memory follows")
            source.qmp.cmd("migrate-start-postcopy")
            switched = True
        if info.get("status") in ("completed", "failed", "cancelled", "postcopy-paused"):
            break
        time.sleep(0.05 if view.tty else 0.1)
    view.show(progress(info, started), force=True)
    view.end()
    end = time.monotonic() + 30
    while (there := destination.qmp.cmd("query-migrate")).get("status") not in (
            "completed", "failed") and time.monotonic() < end:
        time.sleep(0.05)
    return info, there


def table(rows):
    width = max(len(r[0]) for r in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def report(info, there, verified, wrong, stall_us):
    ram = info["ram"]
    print()
    rows = [("total time", f"{info['total-time']} ms"),
            ("downtime", f"{info['downtime']} ms"),
            ("data moved", f"{ram['transferred'] / MIB:.0f} MiB ({ram['normal']} pages, "
                           f"{ram['duplicate']} zero pages)"),
            ("guest's longest pause", f"{stall_us / 1000:.1f} ms"),
            ("pages verified", f"{verified}"),
            ("wrong pages", f"{wrong}")]
    counters = info.get("postcopy-preempt")
    if counters:
        rows += [("pages asked for", f"{ram['postcopy-requests']}"),
                 ("sent at once", f"{counters['urgent-pages']}"),
                 ("prefetched", f"{counters['prefetch-sent']}, hits {counters['prefetch-hit']}"),
                 ("hints", f"offered {counters['hints-offered']}, taken "
                           f"{counters['hints-consumed']}, hit {counters['hints-hit']}")]
    if "postcopy-latency" in there:
        rows.append(("fault latency, mean", f"{there['postcopy-latency'] / 1000:.0f} us"))
    table(rows)
    if there.get("postcopy-latency-dist"):
        print("\n  faults by latency")
        print("\n".join(histogram(there["postcopy-latency-dist"])))


def run(args):
    os.environ["GODWIT_BUILD"] = str((TOP / args.builddir).resolve())
    from godwit import environment, migration, workload
    from godwit.machine import Machine

    view = View()
    accel = environment.accel()
    if accel != "kvm":
        view.say("no KVM here: accelerator sim, whose threads touch memory as a guest would")
    kw = dict(workload.guest(accel, pattern=args.pattern, mem=args.mem, sweep=2),
              mem=f"{args.mem + 64}M", serial="socket" if accel == "kvm" else "file")
    source, destination = Machine(name="src", **kw), Machine(name="dst", incoming="defer", **kw)
    try:
        source.start()
        destination.start()
        view.say(f"a guest with {args.mem} MiB of memory in use starts up ({accel}, pattern "
                 f"{args.pattern})")
        workload.wait_ready(source)
        postcopy = set_up(view, source, destination)
        migration.set_parameters(source, max_bandwidth=args.bandwidth * MIB, downtime_limit=50)
        uri = migration.listen(destination, "tcp:127.0.0.1:0")
        view.say(f"it moves to {uri}, at {args.bandwidth} MB/s at most")
        source.qmp.cmd("migrate", {"uri": uri})
        info, there = watch(view, source, destination, postcopy, args.switch_at)
        if info["status"] != "completed" or there.get("status") != "completed":
            print(f"the migration ended {info['status']} at the source, {there.get('status')} at "
                  f"the destination: {info.get('error-desc') or there.get('error-desc', '')}")
            return 1
        verified, wrong = workload.verify(destination)
        report(info, there, verified, wrong, destination.guest.longest_stall_us())
        return 1 if wrong else 0
    finally:
        source.close()
        destination.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--builddir", default="build")
    ap.add_argument("--mem", type=int, default=384, help="MiB that the guest works on")
    ap.add_argument("--pattern", default="stream", help="seq, reverse, random, stride, stream, dirty")
    ap.add_argument("--bandwidth", type=int, default=100, help="MB/s for the precopy part")
    ap.add_argument("--switch-at", type=float, default=0.5, help="share of memory before postcopy")
    return run(ap.parse_args())


if __name__ == "__main__":
    sys.exit(main())
