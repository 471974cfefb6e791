# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest's lines mean (tests/guest/report.c)."""
import re
import time

LINE = re.compile(r"gw (hello|report|net|rng|sweep-begin|sweep-end|disk|balloon|fault)\b(.*)")


class GuestFault(AssertionError):
    """The guest stopped, or found wrong pages."""


def _value(text):
    if "," in text:
        return [int(n) for n in text.split(",")]
    try:
        return int(text, 0)
    except ValueError:
        return text


def parse(line):
    """{"what": ..., key: value ...} or None. Dots before a line are the guest's beat."""
    match = LINE.search(line)
    if not match:
        return None
    record = {"what": match.group(1)}
    for word in match.group(2).split():
        key, _, value = word.partition("=")
        record[key] = _value(value)
    return record


class Guest:
    """The guest behind one serial log."""

    def __init__(self, serial, cpus=1, alive=None):
        self.serial = serial
        self.cpus = cpus
        self.alive = alive or (lambda: True)

    def records(self):
        found = [r for r in map(parse, self.serial.lines()) if r]
        for r in found:
            if r["what"] == "fault":
                raise GuestFault(f"the guest stopped: {r}")
        return found

    def _wait(self, what, ready, timeout):
        """Time in which this process did not run (stopped, or a host without a free CPU) is not
        counted."""
        last = time.monotonic()
        end = last + timeout
        while True:
            now = time.monotonic()
            end += max(0, now - last - 1)
            last = now
            running = self.alive()
            result = ready(self.records())
            if result:
                return result
            if not running:
                raise GuestFault(f"the VMM ended while the guest was to {what}")
            if time.monotonic() > end:
                raise TimeoutError(f"the guest did not {what} in {timeout} s; "
                                   f"the end of its log: {self.serial.lines()[-5:]}")
            time.sleep(0.01)

    def wait_hello(self, timeout=60):
        return self._wait("say hello",
                          lambda rs: [r for r in rs if r["what"] == "hello"], timeout)[0]

    def wait_reports(self, count=1, timeout=120):
        """Until every vCPU has reported `count` times more; the last report of each."""
        base = len(self.serial.lines())

        def ready(_):
            fresh = [r for r in map(parse, self.serial.lines()[base:]) if r]
            by_cpu = {}
            for r in fresh:
                if r["what"] == "report":
                    by_cpu.setdefault(r["cpu"], []).append(r)
            enough = [c for c, rs in by_cpu.items() if len(rs) >= count]
            return [by_cpu[c][-1] for c in sorted(by_cpu)] if len(enough) >= self.cpus else None

        return self._wait(f"report {count} times", ready, timeout)

    def wait_net(self, echoed=30, timeout=60):
        """Until so many more frames came back to a guest with net=1, all of them right; the last
        line about them."""
        first = None

        def ready(records):
            nonlocal first
            lines = [r for r in records if r["what"] == "net"]
            if not lines:
                return None
            last = lines[-1]
            if last["wrong"] or not last["configured"]:
                raise GuestFault(f"frames came back wrong: {last}")
            first = first or last
            return last if last["echoed"] >= first["echoed"] + echoed else None

        return self._wait("get its frames back", ready, timeout)

    def wait_sweep(self, timeout=180):
        """Until every vCPU has begun and ended a sweep from now on; raises if it found anything.
        Returns (pages verified, wrong)."""
        base = len(self.serial.lines())
        if hasattr(self.serial, "send"):
            self.serial.send(b"s")

        def ready(_):
            began, ended = {}, {}
            for r in filter(None, map(parse, self.serial.lines()[base:])):
                if r["what"] == "sweep-begin":
                    began.setdefault(r["cpu"], r["n"])
                elif r["what"] == "sweep-end" and r["n"] >= began.get(r["cpu"], 1 << 60):
                    ended[r["cpu"]] = r
            return list(ended.values()) if len(ended) >= self.cpus else None

        ends = self._wait("finish a sweep", ready, timeout)
        wrong = sum(r["total_wrong"] for r in ends)
        if wrong or any(r["table"] != 1 for r in ends):
            raise GuestFault(f"{wrong} wrong pages: {ends}; {self.reports()}")
        return sum(r["pages"] for r in ends), wrong

    def wait_pass(self, timeout=180):
        """The same for accelerator sim, which verifies all its memory in every pass: until each
        vCPU has begun and ended one."""
        first = {r["cpu"]: r["pass"] for r in self.wait_reports(1, timeout)}

        def ready(_):
            now = self.reports()
            ended = [r for r in now if r["pass"] >= first[r["cpu"]] + 2]
            return now if len(ended) >= self.cpus else None

        last = self._wait("verify its memory", ready, timeout)
        wrong = sum(r["wrong"] for r in last)
        if wrong:
            raise GuestFault(f"{wrong} wrong pages: {last}")
        return sum(r["verified"] for r in last), wrong

    def reports(self):
        """The last report of each vCPU."""
        last = {r["cpu"]: r for r in self.records() if r["what"] == "report"}
        return [last[c] for c in sorted(last)]

    def longest_stall_us(self):
        """The worst stall in any report of this log (not before it)."""
        return max((r["stall_us"] for r in self.records() if r["what"] == "report"), default=0)
