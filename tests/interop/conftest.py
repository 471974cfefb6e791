# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: every pair of godwit and a stock QEMU, in both directions."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "qtest"))

from conftest_common import *  # noqa: E402,F401,F403
from godwit import environment  # noqa: E402
