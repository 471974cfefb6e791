# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: machines that end with their test, and what the host offers."""
import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from godwit import environment, workload  # noqa: E402
from godwit.machine import Machine  # noqa: E402


LIMIT = 300  # seconds


def pytest_configure(config):
    config.addinivalue_line("markers", "kvm: needs a real guest, hence KVM")


def pytest_runtest_setup(item):
    binary = environment.godwit_bin()[0]
    if not os.access(binary, os.X_OK):
        pytest.fail(f"{binary} is not there: build it with `make`, or set GODWIT_BIN", False)
    if item.get_closest_marker("kvm") and environment.accel() != "kvm":
        pytest.skip("needs a real guest: /dev/kvm does not work here")


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
