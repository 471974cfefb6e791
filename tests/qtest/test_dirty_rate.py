# SPDX-License-Identifier: GPL-2.0-or-later
"""calc-dirty-rate measures a running guest, in QEMU's shapes, also while the guest migrates."""
import time

import pytest

from godwit import environment, migration, workload
from godwit.qmp import QMPError

BEGINNING = {"status": "unstarted", "sample-pages": 0, "mode": "page-sampling",
             "calc-time-unit": "second", "start-time": 0, "calc-time": 0}


@pytest.fixture
def busy(machines):
    """A guest that writes 50 MB/s to 32 MiB, at random."""
    m = machines(mem="64M", **workload.guest(pattern="dirty", rate=50, sweep=0)).start()
    workload.wait_ready(m)
    return m


def measured(m, timeout=30):
    end = time.monotonic() + timeout
    while (info := m.qmp.cmd("query-dirty-rate"))["status"] == "measuring":
        assert "dirty-rate" not in info
        assert time.monotonic() < end
        time.sleep(0.005)
    assert info["status"] == "measured"
    return info


def calc(m, **args):
    m.qmp.cmd("calc-dirty-rate", {"calc-time": 200, "calc-time-unit": "millisecond", **args})
    return measured(m)


def test_nothing_was_measured_yet(machines):
    m = machines(machine="none").start()
    assert m.qmp.cmd("query-dirty-rate") == BEGINNING
    assert m.hmp("info dirty_rate") == ("Status: unstarted\nStart Time: 0 (sec)\n"
                                        "Sample Pages: 0 (per GB)\nPeriod: 0 (sec)\n"
                                        "Mode: page-sampling\nDirty rate: (not ready)\n")


@pytest.mark.parametrize("mode", ["page-sampling", "dirty-bitmap"])
def test_a_guest_that_writes_is_seen(busy, mode):
    info = calc(busy, mode=mode)
    assert info["mode"] == mode
    assert info["sample-pages"] == (512 if mode == "page-sampling" else 0)
    assert 0 < info["dirty-rate"] <= 32 * 5 * 2
    busy.qmp.cmd("stop")
    assert calc(busy, mode=mode)["dirty-rate"] == 0


def test_dirty_ring_only_where_it_reports(busy):
    if environment.accel() == "sim":
        info = calc(busy, mode="dirty-ring")
        assert [v["id"] for v in info["vcpu-dirty-rate"]] == [0]
        assert info["vcpu-dirty-rate"][0]["dirty-rate"] == info["dirty-rate"] > 0
    else:
        with pytest.raises(QMPError, match="mode dirty-ring is not enabled, use other method"):
            calc(busy, mode="dirty-ring")


def test_one_at_a_time_and_the_monitor_does_not_wait(busy):
    busy.qmp.cmd("calc-dirty-rate", {"calc-time": 60})
    with pytest.raises(QMPError, match="the dirty rate is already being measured."):
        busy.qmp.cmd("calc-dirty-rate", {"calc-time": 1})
    assert busy.qmp.cmd("query-dirty-rate", {"calc-time-unit": "millisecond"})["calc-time"] == 60000
    busy.close()  # nor does the end of the process


def test_the_human_monitor(busy):
    assert busy.hmp("calc_dirty_rate 0") == "Incorrect period length specified!\n"
    assert busy.hmp("calc_dirty_rate 61") == ("Error: Calculation time is out of range "
                                              "[50ms, 60000ms].\n")
    assert busy.hmp("calc_dirty_rate -b 1 300") == ("Error: sample-pages is used only in "
                                                    "page-sampling mode\n")
    assert busy.hmp("calc_dirty_rate 60 256") == (
        "Starting dirty rate measurement with period 60 seconds\n"
        "[Please use 'info dirty_rate' to check results]\n")
    text = busy.hmp("info dirty_rate")
    assert "Status: measuring\n" in text and "Sample Pages: 256 (per GB)\n" in text


@pytest.mark.parametrize("mode", ["dirty-bitmap", "page-sampling"])
def test_beside_a_migration_no_page_is_lost(pair, mode):
    a, b = pair(pattern="dirty", rate=50)
    a.qmp.cmd("calc-dirty-rate", {"calc-time": 100, "calc-time-unit": "millisecond", "mode": mode})
    a.qmp.cmd("migrate-set-parameters", {"max-bandwidth": 40 << 20})
    a.qmp.cmd("migrate", {"uri": migration.listen(b, "tcp:127.0.0.1:0")})
    measured(a)
    for _ in range(3):
        calc(a, mode=mode, **{"calc-time": 50})
    a.qmp.cmd("migrate-set-parameters", {"max-bandwidth": 0})
    migration.wait_moved(a, b)
    workload.verify(b)
    assert calc(b, mode=mode)["dirty-rate"] > 0


def test_not_before_the_guest_is_here(machines):
    m = machines(mem="64M", incoming="defer", **workload.guest()).start()
    m.qmp.cmd("migrate-incoming", {"uri": f"unix:{m.dir}/migrate"})
    with pytest.raises(QMPError, match="before the incoming migration is complete"):
        m.qmp.cmd("calc-dirty-rate", {"calc-time": 1})
