#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How far migrate-estimate is from the truth: predicts a migration, makes it, and compares.

    python3 bench/estimate_run.py --rows idle,half --json out.json --rst

Each row is a running guest and a way to migrate it, over loopback with max-bandwidth as the link. A
row that is predicted not to end is watched until query-migrate says so too, and cancelled."""
import argparse
import json
import pathlib
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests/qtest"), str(TOP / "bench")]

import postcopy_run as common  # noqa: E402
from godwit import migration, workload  # noqa: E402
from godwit.machine import Machine  # noqa: E402

GOAL = 25  # percent
PATIENCE = 90  # seconds for one migration
CAPABILITY = {"auto-converge": "auto_converge", "background-sync": "background_sync",
              "postcopy": "postcopy_ram"}

# What the guest does (words of its command line), the machine's memory in MiB, the link in MiB/s.
ROWS = {
    "idle": {"words": {"pattern": "idle", "mem": 384}, "ram": 512, "link": 200},
    "zero": {"words": {"pattern": "idle", "mem": 64}, "ram": 2048, "link": 50},
    "slow": {"words": {"pattern": "dirty", "rate": 20, "mem": 256}, "ram": 320, "link": 100},
    "small-set": {"words": {"pattern": "dirty", "rate": 80, "mem": 256, "working_set": 10},
                  "ram": 320, "link": 100},
    "half": {"words": {"pattern": "dirty", "rate": 50, "mem": 256, "working_set": 90},
             "ram": 320, "link": 100},
    "near": {"words": {"pattern": "dirty", "rate": 80, "mem": 256, "working_set": 90},
             "ram": 320, "link": 100},
    "in-turn": {"words": {"pattern": "seq", "rate": 60, "write": 100, "mem": 256},
                "ram": 320, "link": 100},
    "strict": {"words": {"pattern": "dirty", "rate": 30, "mem": 256, "working_set": 50},
               "ram": 320, "link": 100, "downtime": 30},
    "postcopy-slow": {"words": {"pattern": "dirty", "rate": 50, "mem": 256}, "ram": 320,
                      "link": 100, "method": "postcopy"},
    "postcopy-fast": {"words": {"pattern": "dirty", "rate": 300, "mem": 256, "working_set": 90},
                      "ram": 320, "link": 100, "method": "postcopy"},
    "never": {"words": {"pattern": "dirty", "rate": 300, "mem": 256, "working_set": 90},
              "ram": 320, "link": 100},
    "greedy": {"words": {"pattern": "random", "write": 100, "mem": 256, "working_set": 40},
               "ram": 320, "link": 100, "method": "auto-converge"},
    "greedy-sync": {"words": {"pattern": "random", "write": 100, "mem": 256, "working_set": 40},
                    "ram": 320, "link": 100, "method": "background-sync"},
    "sleepy": {"words": {"pattern": "dirty", "rate": 150, "mem": 256, "working_set": 50,
                         "wait": "halt"},
               "ram": 320, "link": 100, "method": "auto-converge"},
    "sleepy-sync": {"words": {"pattern": "dirty", "rate": 150, "mem": 256, "working_set": 50,
                              "wait": "halt"},
                    "ram": 320, "link": 100, "method": "background-sync"},
    "paced": {"words": {"pattern": "dirty", "rate": 150, "mem": 256, "working_set": 50},
              "ram": 320, "link": 100, "method": "auto-converge"},
    "paced-sync": {"words": {"pattern": "dirty", "rate": 150, "mem": 256, "working_set": 50},
                   "ram": 320, "link": 100, "method": "background-sync"},
}


def estimate(a, row):
    args = {"bandwidth": row["link"] << 20}
    while (e := a.qmp.cmd("migrate-estimate", args))["status"] != "measured":
        time.sleep(0.05)
    found = {m["method"]: m for m in e["methods"]}
    return found[row.get("method", "precopy")], e["recommended"]


def prepare(a, b, row):
    method = row.get("method", "precopy")
    wanted = {CAPABILITY[method]} if method in CAPABILITY else set()
    if method == "background-sync":
        wanted.add("auto_converge")
    for vm in (a, b):
        migration.set_capabilities(vm, **{name: True for name in sorted(wanted)})
    migration.set_parameters(a, max_bandwidth=row["link"] << 20,
                             max_postcopy_bandwidth=row["link"] << 20,
                             downtime_limit=row.get("downtime", 300))
    if method == "background-sync":
        migration.set_parameters(a, background_sync_interval=500)


def watch(a, row):
    """Until it has ended or is known not to; the last reply, and what was expected in mid-pass."""
    method, expected = row.get("method", "precopy"), []
    switch = method == "postcopy"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        info = a.qmp.cmd("query-migrate")
        if info["status"] in migration.ENDED:
            return info, expected
        if "expected-total-time" in info:
            expected.append(info["expected-total-time"])
        if info.get("will-converge") is False and method != "postcopy":
            return info, expected
        if switch and info["status"] == "active" and info["ram"]["dirty-sync-count"] > 1:
            a.qmp.cmd("migrate-start-postcopy")
            switch = False
        time.sleep(0.005)
    raise TimeoutError(f"it goes on: {info}")


def run(name, row):
    kw = dict(workload.guest(accel="kvm", sweep=0, **row["words"]), mem=f"{row['ram']}M")
    with Machine(name="src", **kw) as a, Machine(name="dst", incoming="defer", **kw) as b:
        workload.wait_ready(a)
        prepare(a, b, row)
        predicted, recommended = estimate(a, row)
        a.qmp.cmd("migrate", {"uri": migration.listen(b, "tcp:127.0.0.1:0")})
        info, expected = watch(a, row)
    done = info["status"] == "completed"
    out = {"row": name, "method": row.get("method", "precopy"), "recommended": recommended,
           "predicted_ms": predicted.get("total-time"),
           "measured_ms": info["total-time"] if done else None,
           "predicted_downtime_ms": predicted.get("downtime"),
           "measured_downtime_ms": info.get("downtime"),
           "predicted_mib": predicted.get("transferred", 0) >> 20,
           "measured_mib": info["ram"]["transferred"] >> 20,
           "halfway_ms": expected[len(expected) // 2] if expected else None,
           "reason": info.get("will-converge-reason")}
    both = out["predicted_ms"] is not None and done
    out["error"] = (100 * (out["predicted_ms"] - out["measured_ms"]) / out["measured_ms"]
                    if both else None)
    out["right"] = abs(out["error"]) <= GOAL if both else not predicted["converges"] and not done
    return out


HEAD = ("scenario", "method", "predicted ms", "measured ms", "error %", "half-way ms",
        "predicted MiB", "measured MiB", "recommended")


def line(r):
    return (r["row"], r["method"], r["predicted_ms"] or "never", r["measured_ms"] or "never",
            "-" if r["error"] is None else f"{r['error']:+.0f}", r["halfway_ms"] or "-",
            r["predicted_mib"] or "-", r["measured_mib"], r["recommended"])


def rst(results):
    table = [HEAD, *map(line, results)]
    widths = [max(len(str(r[i])) for r in table) for i in range(len(HEAD))]
    rule = " ".join("=" * w for w in widths)
    rows = [" ".join(str(c).ljust(w) for c, w in zip(r, widths)).rstrip() for r in table]
    return "\n".join([rule, rows[0], rule, *rows[1:], rule])


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--json", type=pathlib.Path)
    a = p.parse_args()
    common.go_ahead()
    results = []
    for name in a.rows.split(","):
        results.append(run(name, ROWS[name]))
        print(*line(results[-1]), sep="  ", flush=True)
    print(f"\n{rst(results)}\n")
    print(f"{sum(r['right'] for r in results)} of {len(results)} within {GOAL} %")
    if a.json:
        a.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
