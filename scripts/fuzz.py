#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds every fuzz target with clang's libFuzzer and the address and undefined sanitizers, and runs
each for some seconds. A crash leaves its input in build-fuzz/ and ends with status 1."""
import argparse
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--seconds", type=int, default=20, help="per target")
    args = ap.parse_args()
    builddir = TOP / "build-fuzz"
    env = dict(os.environ, CC="clang")

    if not (builddir / "build.ninja").exists():
        subprocess.run(["./configure", f"--builddir={builddir}",
                        "--sanitize=address,undefined", "--", "-Dfuzz=true"],
                       cwd=TOP, env=env, check=True)
    subprocess.run(["ninja", "-C", builddir, "fuzz-targets"], check=True)
    bad = []
    targets = sorted(p for p in (builddir / "tests/fuzz").glob("fuzz-*")
                     if p.is_file() and os.access(p, os.X_OK))
    for target in targets:
        corpus = builddir / "corpus" / target.name
        corpus.mkdir(parents=True, exist_ok=True)
        seeds = target.with_name(target.name.replace("fuzz-", "seed-", 1))
        if seeds.exists():
            subprocess.run([seeds, corpus], check=True)
        print(f"== {target.name}: {args.seconds} s", flush=True)
        code = subprocess.run([target, corpus, f"-max_total_time={args.seconds}", "-timeout=10",
                               "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"],
                              cwd=builddir).returncode
        if code:
            bad.append(target.name)
    print(f"{len(targets) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad or not targets else 0


if __name__ == "__main__":
    sys.exit(main())
