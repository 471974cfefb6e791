#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How the load of many devices grows, edit by edit and as one transaction: a table and a chart of
medians in bench/results/. Windows that stay or move, virtio-blk, and a guest with virtio-blk that
moves, whose outage is measured as well. Needs /dev/kvm.

    bench/device_load_run.py [--runs 10] [--builddir build] [--ways guest]
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[1]
DEVICES, QUEUES, WAYS = (1, 8, 24, 64), (1, 4, 16), ("stay", "move", "virtio", "guest")
GOAL = 0.2  # of the unbatched load time, 24 devices with 16 queues

WIDTH, HEIGHT, LEFT, BOTTOM = 860, 420, 70, 360
COLOURS = {1: "#7aa6c2", 4: "#3a7d44", 16: "#b5482f"}


def command(folder, way, devices, queues, runs):
    numbers = [str(devices), str(queues), str(runs)]
    return ([folder / "device-move", *numbers] if way == "guest"
            else [folder / "device-load", *numbers, way])


def measure(folder, ways, runs):
    """{(way, queues, devices, batched): medians of every number}"""
    found = {}
    for way in ways:
        for queues in QUEUES:
            for devices in DEVICES:
                out = subprocess.run(command(folder, way, devices, queues, runs),
                                     check=True, capture_output=True, text=True).stdout
                rows = [json.loads(line) for line in out.splitlines()]
                for batched in (False, True):
                    mine = [r for r in rows if r["batched"] == batched]
                    found[way, queues, devices, batched] = {
                        k: statistics.median(r[k] for r in mine) for k in mine[0]
                        if k != "batched"}
    return found


def table(found):
    yield ("| devices are | devices | queues | edits | commits off/on | ioctls off/on | ms off | on "
           "| ratio | outage ms off | on |")
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for (way, queues, devices, batched), off in found.items():
        if batched:
            continue
        on = found[way, queues, devices, True]
        outage = (f"{off['outage_us'] / 1000:.2f} | {on['outage_us'] / 1000:.2f}"
                  if way == "guest" else " | ")
        yield (f"| {way} | {devices} | {queues} | {off['edits']:.0f} | "
               f"{off['commits']:.0f} / {on['commits']:.0f} | "
               f"{off['ioctls']:.0f} / {on['ioctls']:.0f} | {off['load_us'] / 1000:.2f} | "
               f"{on['load_us'] / 1000:.2f} | {on['load_us'] / off['load_us']:.3f} | {outage} |")


def ways_of(found):
    return dict.fromkeys(k[0] for k in found)


def verdicts(found):
    """(text, reached, most)"""
    for way in ways_of(found):
        off, on = (found[way, 16, 24, b]["load_us"] for b in (False, True))
        yield f"24 devices x 16 queues, {way}: load time of unbatched", on / off, GOAL
        a, b = (found[way, 16, n, True]["load_us"] for n in (8, 64))
        yield f"8 to 64 devices x 16 queues, {way}: growth per device", b / a / 8, 1.0
        if way == "guest":
            off, on = (found[way, 16, 24, b] for b in (False, True))
            saved, shorter = (off[k] - on[k] for k in ("load_us", "outage_us"))
            yield ("24 devices x 16 queues, guest: load time saved / outage saved",
                   saved / shorter if shorter > 0 else math.inf, 1.1)


def svg(found, way):
    """Load time over devices; batched solid, the other dashed."""
    most = max(v["load_us"] for k, v in found.items() if k[0] == way)
    least = min(v["load_us"] for k, v in found.items() if k[0] == way)
    span = math.log(most / least) or 1

    def at(devices, us):
        return (LEFT + devices / max(DEVICES) * (WIDTH - LEFT - 160),
                BOTTOM - math.log(us / least) / span * (BOTTOM - 50))

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             'font-family="sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             f'<text x="12" y="24">Load time of all devices, {way} (us, log scale)</text>']
    decade = 10 ** math.ceil(math.log10(least))
    while decade <= most:
        y = at(0, decade)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 160}" y1="{y:.0f}" y2="{y:.0f}" '
                     f'stroke="#ddd"/><text x="{LEFT - 8}" y="{y + 4:.0f}" '
                     f'text-anchor="end">{decade:.0f}</text>')
        decade *= 10
    for n in DEVICES:
        parts.append(f'<text x="{at(n, least)[0]:.0f}" y="{BOTTOM + 20}" '
                     f'text-anchor="middle">{n}</text>')
    parts.append(f'<text x="{LEFT}" y="{BOTTOM + 42}">devices</text>')
    for queues in QUEUES:
        for batched in (False, True):
            points = [at(n, found[way, queues, n, batched]["load_us"]) for n in DEVICES]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dash = "" if batched else ' stroke-dasharray="6 4"'
            x, y = points[-1]
            parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[queues]}" '
                         f'stroke-width="2"{dash}/><text x="{x + 8:.0f}" y="{y + 4:.0f}" '
                         f'fill="{COLOURS[queues]}">{queues} queues, '
                         f'{"on" if batched else "off"}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=str(TOP / "build"))
    p.add_argument("--runs", type=int, default=10)
    p.add_argument("--ways", default=",".join(WAYS))
    args = p.parse_args()
    folder = pathlib.Path(args.builddir).resolve() / "bench"
    found = measure(folder, args.ways.split(","), args.runs)
    results = TOP / "bench/results"
    results.mkdir(exist_ok=True)
    text = "\n".join(table(found)) + "\n"
    (results / "device-load.md").write_text(text)
    for way in ways_of(found):
        (results / f"device-load-{way}.svg").write_text(svg(found, way))
    print(text)
    for what, reached, most in verdicts(found):
        print(f"{'ok  ' if reached <= most else 'MISS'} {what}: {reached:.3f}, at most {most}")


if __name__ == "__main__":
    main()
