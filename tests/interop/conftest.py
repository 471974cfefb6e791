# SPDX-License-Identifier: GPL-2.0-or-later
"""The suite `interop`: godwit at one end, a stock QEMU at the other."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "qtest"))

from godwit import environment  # noqa: E402
from godwit.fixtures import machines, pytest_runtest_call  # noqa: E402,F401


def pytest_configure(config):
    config.addinivalue_line("markers", "kvm: needs a real guest, hence KVM")


def pytest_runtest_setup(item):
    binary = environment.godwit_bin()[0]
    if not os.access(binary, os.X_OK):
        pytest.fail(f"{binary} is not there: build it with `make`, or set GODWIT_BIN", False)
    if item.get_closest_marker("kvm") and not environment.kvm_works():
        pytest.skip("needs a real guest: /dev/kvm does not work here")


@pytest.fixture(params=["debian", "trixie"])
def stock(request):
    """The command of a stock QEMU: this Debian's own, and a newer one in a tree of its own."""
    if request.param == "debian":
        command = environment.stock_qemu()
        return command or pytest.skip("no qemu-system-x86_64 here (apt-get install "
                                      "qemu-system-x86)")
    command, reason = environment.trixie_qemu()
    return command or pytest.skip(reason)
