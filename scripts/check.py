#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""All test suites; the last line counts them: N passed, N failed, N skipped.

unit tests run three times: plain, under the address and undefined sanitizers, and under the thread
sanitizer. qtest and interop drive the binary over QMP, both at the same time. A suite that cannot
run says why and counts as skipped; nothing is skipped silently."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
DRIVEN = ("qtest", "interop", "libvirt")
SANITIZERS = {"asan": "address,undefined", "tsan": "thread"}


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.bad = []

    def add(self, suite, name, result):
        if result == "pass":
            self.passed += 1
        elif result == "skip":
            self.skipped += 1
        else:
            self.failed += 1
            self.bad.append(f"{suite}: {name}")


def run(cmd, **kw):
    print("+", " ".join(map(str, cmd)), flush=True)
    return subprocess.run(cmd, cwd=TOP, **kw).returncode


def second_try(suite, name):
    """Said aloud, because it is worth a look: these machines are small and shared."""
    print(f"SECOND TRY {suite}: {name} failed in the suite and passed alone", flush=True)


def meson_results(builddir):
    """(name, pass|fail|skip) of each program; a test that ran nothing but skips counts as one."""
    log = builddir / "meson-logs" / "testlog.json"
    if not log.exists():
        return
    for line in log.read_text().splitlines():
        t = json.loads(line)
        result = {"OK": "pass", "SKIP": "skip", "EXPECTEDFAIL": "pass"}.get(t["result"], "fail")
        yield t["name"], result


def unit(tally, builddir, label):
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0",
               UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
               TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1")
    log = builddir / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    code = run(["meson", "test", "-C", builddir, "--suite", "unit", "--print-errorlogs",
                "--timeout-multiplier", "4"], env=env)
    results = list(meson_results(builddir))
    for name, result in results:
        if result == "fail" and run(["meson", "test", "-C", builddir, "--print-errorlogs",
                                     "--timeout-multiplier", "4", name], env=env) == 0:
            second_try(label, name)
            result = "pass"
        tally.add(label, name, result)
    if code and not any(r == "fail" for _, r in results):
        tally.add(label, "meson test did not run to its end", "fail")


def sanitized(tally, label):
    builddir = TOP / f"build-{label}"
    if not (builddir / "build.ninja").exists():
        if run(["./configure", f"--builddir={builddir}", f"--sanitize={SANITIZERS[label]}",
                "--", "-Dbench=false"]):
            tally.add(label, "configure", "fail")
            return
    if run(["ninja", "-C", builddir, "unit-tests"]):
        tally.add(label, "build", "fail")
        return
    unit(tally, builddir, f"unit-{label}")


def pytest_python():
    """The first Python that has pytest: the one in PATH need not be the distribution's."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import pytest"], capture_output=True).returncode == 0:
            return python
    return None


class Pytest:
    """One suite on its way. Two run at a time: each of them mostly waits for a single guest."""

    def __init__(self, builddir, suite):
        self.suite = suite
        self.folder = TOP / "tests" / suite
        self.report = builddir / f"pytest-{suite}.xml"
        self.report.unlink(missing_ok=True)
        self.env = dict(os.environ, GODWIT_BIN=str(builddir / "godwit-system-x86_64"),
                        GODWIT_BUILD=str(builddir))
        self.python = pytest_python()
        self.output = builddir / f"pytest-{suite}.log"
        self.process = self.python and self.start()

    def start(self):
        cmd = [self.python, "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider",
               f"--junitxml={self.report}", self.folder]
        print("+", " ".join(map(str, cmd)), flush=True)
        with open(self.output, "w") as out:
            return subprocess.Popen(cmd, cwd=TOP, env=self.env, stdout=out, stderr=out)

    def wait(self):
        """Until it has ended; then what it said."""
        if self.process:
            self.process.wait()
            print(self.output.read_text(), flush=True)

    def count(self, tally):
        """Failures get a second try; nothing else runs by now."""
        if not self.python:
            tally.add(self.suite, "no Python here has pytest (Debian: python3-pytest)", "fail")
            return
        if not self.report.exists():
            tally.add(self.suite, "pytest did not run to its end", "fail")
            return
        for case, result in pytest_results(self.report):
            if result == "fail" and passes_alone(self.python, self.folder, case, self.env):
                second_try(self.suite, case)
                result = "pass"
            tally.add(self.suite, case, result)
        if self.process.returncode not in (0, 1, 5):
            tally.add(self.suite, f"pytest ended with code {self.process.returncode}", "fail")


def pytest(tally, builddir, suites):
    running = [Pytest(builddir, suite) for suite in suites]
    for suite in running:
        suite.wait()
    for suite in running:
        suite.count(tally)


def pytest_results(report):
    """(file::test[parameters], pass|fail|skip) of each case."""
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        bad = kinds & {"failure", "error"}
        name = f"{case.get('classname').split('.')[-1]}.py::{case.get('name')}"
        yield name, "fail" if bad else "skip" if "skipped" in kinds else "pass"


def passes_alone(python, folder, case, env):
    return run([python, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
                f"{folder}/{case}"], env=env) == 0


def prepare_trixie(log):
    """Starts to make the tree with the newer QEMU, which is mostly waiting for a network, while
    other suites run. The suite interop waits for it, and says so if it can't be had."""
    with open(log, "w") as out:
        return subprocess.Popen(["nice", TOP / "scripts" / "trixie-tree.sh"], cwd=TOP, stdout=out,
                                stderr=out, stdin=subprocess.DEVNULL)


class Clock:
    """How long each suite took, and how much of it on a processor: 'qtest 120 s (60 s CPU)'."""

    def __init__(self):
        self.text = []

    def lap(self, name):
        now = time.monotonic(), sum(os.times()[2:4])
        if name:
            wall, cpu = now[0] - self.last[0], now[1] - self.last[1]
            self.text.append(f"{name} {wall:.0f} s ({cpu:.0f} s CPU)")
        self.last = now


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--builddir", default="build", type=pathlib.Path)
    ap.add_argument("--suite", action="append", choices=["lint", "unit", "asan", "tsan", "qtest",
                                                         "interop", "libvirt"])
    args = ap.parse_args()
    builddir = (TOP / args.builddir).resolve()
    # Last come those that drive the binary; by then the trixie tree is there.
    suites = args.suite or ["lint", "unit", "asan", "tsan", "qtest", "interop"]
    tally = Tally()
    clock = Clock()
    clock.lap(None)
    trixie = "interop" in suites and prepare_trixie(builddir / "trixie.log")

    if run(["ninja", "-C", builddir]):
        tally.add("build", "ninja", "fail")
        suites = []
    clock.lap("build")
    driven = [s for s in suites if s in DRIVEN]
    for suite in (s for s in suites if s not in DRIVEN):
        if suite == "lint":
            code = run([sys.executable, "scripts/lint.py", "--builddir", builddir])
            tally.add("lint", "house rules", "fail" if code else "pass")
        elif suite == "unit":
            unit(tally, builddir, "unit")
        else:
            sanitized(tally, suite)
        clock.lap(suite)
    if driven:
        pytest(tally, builddir, driven)
        clock.lap(" and ".join(driven))
    if trixie:
        trixie.wait()
    print(", ".join(clock.text))
    for name in tally.bad:
        print("FAILED", name)
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
