#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Moves, many times over: guests of a GiB move by postcopy under every pattern of access, networks
break at random moments, disks and a network card are at work across moves of every kind. For hours
of doubt, not for every day; `make check` has one of each.

    make soak SOAK_FLAGS="--runs 20 --cuts 20 --ends 200 --devices 50"
    python3 scripts/soak.py --only "move kvm" --seed 7

All that is random comes from the seed, which is printed. A failure says what to run again. The last
line counts the runs: N passed, N failed."""
import argparse
import collections
import os
import pathlib
import random
import signal
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "tests/qtest"), str(TOP / "tests/soak")]

LIMIT = 180  # seconds for one run


def scenarios(args):
    """(scenario, number of runs); what cannot run here is said."""
    import breaks
    import devices
    import moves
    from godwit import environment

    accels = ["kvm", "sim"] if environment.kvm_works() else ["sim"]
    if accels == ["sim"]:
        print("LEFT OUT: all on kvm: /dev/kvm does not work here")
    for kind in moves.KINDS:
        for accel in accels:
            for pattern in moves.PATTERNS:
                yield moves.Moves(accel, pattern, kind, args.mib), args.runs
    for accel in accels:
        for s in breaks.recoveries(accel):
            yield s, args.cuts
        for s in breaks.ends(accel):
            yield s, args.ends
    if "kvm" in accels:
        for s in devices.scenarios():
            yield s, args.devices
    if not environment.trixie_qemu()[0]:
        print(f"LEFT OUT: all with stock QEMU: {environment.trixie_qemu()[1]}")


class TookTooLong(Exception):
    """One run did not end."""


def give_up(*_):
    raise TookTooLong(f"it did not end in {LIMIT} s")


def run_once(scenario, seed, number):
    """One run with random numbers of its own: its counts, or the reason why it failed."""
    signal.alarm(LIMIT)
    try:
        return scenario.run(random.Random(f"{seed} {scenario.name} {number}"), number), None
    except Exception as e:  # whatever it was: it is counted, and the next run goes on
        return {}, f"{type(e).__name__}: {e}"
    finally:
        signal.alarm(0)


def soak(scenario, first, runs, seed):
    """(passed, failed)."""
    counts = collections.Counter()
    failed, begin = 0, time.monotonic()
    try:
        scenario.open()
    except OSError as e:
        print(f"LEFT OUT: {scenario.name}: {e}", flush=True)
        return 0, 0
    try:
        for number in range(first, first + runs):
            found, why = run_once(scenario, seed, number)
            counts.update(found)
            if why:
                failed += 1
                print(f"FAILED {scenario.name}, run {number}: {why}\n  again: python3 scripts/soak.py "
                      f"--only '{scenario.name}' --seed {seed} --first {number} --count 1",
                      flush=True)
    finally:
        scenario.close()
    told = ", ".join(f"{v} {k}" for k, v in sorted(counts.items()))
    print(f"{scenario.name}: {runs - failed} passed, {failed} failed in "
          f"{time.monotonic() - begin:.0f} s; {told}", flush=True)
    return runs - failed, failed


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--builddir", default=TOP / "build", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    p.add_argument("--mib", type=int, default=1024, help="memory under test of guests that move")
    p.add_argument("--runs", type=int, default=20, help="moves for each pattern, accelerator and kind")
    p.add_argument("--cuts", type=int, default=20, help="cut networks for each channel")
    p.add_argument("--ends", type=int, default=200, help="breaks in the last 100 ms")
    p.add_argument("--devices", type=int, default=50, help="moves with disks and card at work, for "
                   "each way, layout and device load")
    p.add_argument("--only", default="", help="scenarios whose name begins so")
    p.add_argument("--first", type=int, default=0, help="number of the first run")
    p.add_argument("--count", type=int, help="runs of each, instead of the above")
    return p.parse_args()


def main():
    args = arguments()
    os.environ["GODWIT_BUILD"] = str(args.builddir.resolve())
    signal.signal(signal.SIGALRM, give_up)
    print(f"seed {args.seed}", flush=True)
    passed = failed = 0
    for scenario, runs in scenarios(args):
        if scenario.name.startswith(args.only):
            result = soak(scenario, args.first, args.count or runs, args.seed)
            passed, failed = passed + result[0], failed + result[1]
    print(f"seed {args.seed}: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
