# SPDX-License-Identifier: GPL-2.0-or-later
"""The suite `qtest`: the binary, driven over QMP."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from godwit import environment  # noqa: E402
from godwit.fixtures import machines, pair, pytest_runtest_call  # noqa: E402,F401


def pytest_configure(config):
    config.addinivalue_line("markers", "kvm: needs a real guest, hence KVM")


def pytest_runtest_setup(item):
    binary = environment.godwit_bin()[0]
    if not os.access(binary, os.X_OK):
        pytest.fail(f"{binary} is not there: build it with `make`, or set GODWIT_BIN", False)
    if item.get_closest_marker("kvm") and environment.accel() != "kvm":
        pytest.skip("needs a real guest: /dev/kvm does not work here")
