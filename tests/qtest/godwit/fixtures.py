# SPDX-License-Identifier: GPL-2.0-or-later
"""What all suites share: machines that end with their test, and a limit to every test's time."""
import contextlib
import os
import signal

import pytest

from . import echo, workload
from .machine import Machine

LIMIT = 300  # seconds


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """No test hangs for ever, whatever the machines do."""
    def give_up(*_):
        raise TimeoutError(f"{item.name} did not end in {LIMIT} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def machines():
    """A maker of machines, which all end with the test."""
    made = []

    def make(*args, **kw):
        made.append(Machine(*args, **kw))
        return made[-1]

    yield make
    for m in made:
        m.close()


@pytest.fixture
def pair(machines):
    """A maker of (source with a workload that has begun, destination that waits)."""

    def make(ram="64M", cpus=1, source=(), destination=(), incoming="defer", **options):
        kw = dict(workload.guest(**options, cpus=cpus), mem=ram, cpus=cpus)
        a = machines(name="src", args=source, **kw).start()
        b = machines(name="dst", args=destination, incoming=incoming, **kw).start()
        workload.wait_ready(a)
        return a, b

    return make


@contextlib.contextmanager
def echo_on_taps(count, prefix):
    """(interfaces with two queues each, an echo on all of them); skips where none can be made."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/net/tun and the right to make interfaces")
    server, taps = echo.PacketEcho(), []
    try:
        for i in range(count):
            taps.append(echo.Tap(f"{prefix}{os.getpid() % 100000}-{i}", queues=2))
            server.add(taps[-1].sock)
    except OSError as e:
        pytest.skip(f"no tap interface can be made here: {e}")
    server.start()
    try:
        yield taps, server
    finally:
        server.close()
        for tap in taps:
            tap.close()
