# SPDX-License-Identifier: GPL-2.0-or-later
"""migrate-estimate tells what a migration would take, and query-migrate when one will end or why it
will not. Links are slow by max-bandwidth, so that what must not end does not."""
import time

import pytest

from godwit import migration, workload
from godwit.qmp import QMPError

METHODS = ["precopy", "auto-converge", "background-sync", "postcopy"]
MIB = 1 << 20


def machine(machines, ram="64M", **options):
    m = machines(mem=ram, **workload.guest(**{"sweep": 0, **options})).start()
    workload.wait_ready(m)
    return m


def estimate(m, timeout=30, **args):
    end = time.monotonic() + timeout
    args = {"calc-time": 200, **args}
    while (e := m.qmp.cmd("migrate-estimate", args))["status"] == "measuring":
        args.pop("fresh", None)
        assert set(e) == {"status"}
        assert time.monotonic() < end
        time.sleep(0.01)
    assert [r["method"] for r in e["methods"]] == METHODS
    return e, {r["method"]: r for r in e["methods"]}


def test_a_slow_guest_needs_no_more_than_precopy(machines):
    m = machine(machines, pattern="dirty", rate=5)
    e, by = estimate(m, bandwidth=100 * MIB)
    assert e["ram"] >= 64 * MIB
    assert 0 < e["zero"] < 100
    assert 0 < e["working-set"] <= e["ram"]
    assert [p["time"] for p in e["dirty-curve"]] == sorted(p["time"] for p in e["dirty-curve"])
    assert e["dirty-curve"][-1]["time"] >= 200
    assert (e["bandwidth"], e["bandwidth-source"]) == (100 * MIB, "given")
    assert e["downtime-limit"] == 300
    assert by["precopy"]["converges"]
    assert by["precopy"]["downtime"] < 300
    assert by["precopy"]["transferred"] < e["ram"] * 2
    assert e["recommended"] == "precopy"
    assert "it converges by itself" in e["recommendation"]


def test_a_fast_guest_needs_more(machines):
    m = machine(machines, pattern="dirty", rate=200)
    e, by = estimate(m, bandwidth=10 * MIB)
    assert not by["precopy"]["converges"]
    assert by["precopy"]["reason"] in e["recommendation"]
    assert by["postcopy"]["converges"]
    assert e["recommended"] != "precopy"
    # The same curve, another link: nothing is measured again.
    e, by = estimate(m, bandwidth=10000 * MIB)
    assert by["precopy"]["converges"]
    e, by = estimate(m, bandwidth=10 * MIB, **{"downtime-limit": 60000})
    assert by["precopy"]["converges"]


def test_where_the_bandwidth_comes_from(machines):
    m = machine(machines)

    def source():
        e = estimate(m)[0]
        return e["bandwidth-source"], e["bandwidth"]

    assert source() == ("max-bandwidth", 128 * MIB)
    migration.set_parameters(m, max_bandwidth=0)
    assert source() == ("assumed-10-gbit", 1250000000)
    migration.set_parameters(m, avail_switchover_bandwidth=50 * MIB)
    assert source() == ("avail-switchover-bandwidth", 50 * MIB)
    migration.set_parameters(m, max_bandwidth=20 * MIB)
    assert source() == ("max-bandwidth", 20 * MIB)


def test_it_is_measured_anew_when_asked(machines):
    m = machine(machines, pattern="dirty", rate=200)
    assert estimate(m)[0]["working-set"] > 0
    m.qmp.cmd("stop")
    assert estimate(m)[0]["working-set"] > 0
    e, by = estimate(m, fresh=True)
    assert e["working-set"] == 0
    assert by["precopy"]["passes"] == 1


def test_refusals(machines):
    m = machine(machines)
    with pytest.raises(QMPError, match="out of range"):
        m.qmp.cmd("migrate-estimate", {"calc-time": 10})
    with pytest.raises(QMPError, match="'downtime-limit' expects 0 to 2000000"):
        m.qmp.cmd("migrate-estimate", {"downtime-limit": -1})
    migration.set_parameters(m, max_bandwidth=MIB)
    m.qmp.cmd("migrate", {"uri": "exec:cat > /dev/null"})
    migration.wait_status(m, "active")
    with pytest.raises(QMPError, match="query-migrate tells when it will end"):
        m.qmp.cmd("migrate-estimate")


def test_the_human_monitor_says_the_same(machines):
    m = machine(machines, pattern="dirty", rate=200)
    assert "Measuring the guest's dirty curve, for 1000 ms" in m.hmp("migrate_estimate")
    e, by = estimate(m, bandwidth=10 * MIB)
    text = m.hmp("migrate_estimate 10")
    assert "10 MiB/s (given)" in text
    assert f"  precopy         does not converge: {by['precopy']['reason']}\n" in text
    assert f"Recommended: \t\t{e['recommended']}: {e['recommendation']}\n" in text
    assert m.hmp("migrate_estimate -f").startswith("Measuring")


def test_a_migration_that_will_not_end_says_why(pair):
    a, b = pair(pattern="dirty", rate=300)
    migration.set_parameters(a, max_bandwidth=30 * MIB, downtime_limit=50)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, "tcp:127.0.0.1:0")})
    ends, texts, limit = [], [], time.monotonic() + 60
    while (info := a.qmp.cmd("query-migrate")).get("will-converge") is not False:
        ends.append(info.get("expected-end"))
        texts.append(a.hmp("info migrate"))
        assert info["status"] in ("setup", "active")
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert any(ends)  # while it is not known, the end of this pass
    assert any("Expected end (ms): \tin " in text for text in texts)
    assert "expected-end" not in info
    assert info["will-converge-reason"].startswith("each pass leaves ")
    assert "postcopy-ram" in info["will-converge-reason"]
    text = a.hmp("info migrate")
    assert "Will converge: \t\tno\n  each pass leaves " in text
    migration.set_parameters(a, max_bandwidth=0)
    migration.wait_moved(a, b)
    done = a.qmp.cmd("query-migrate")
    assert not {"expected-end", "will-converge", "will-converge-reason"} & set(done)


def test_a_measured_guest_is_known_in_the_first_pass(pair):
    a, b = pair(pattern="dirty", rate=20)
    estimate(a)
    migration.set_parameters(a, max_bandwidth=8 * MIB, downtime_limit=50)
    a.qmp.cmd("migrate", {"uri": migration.listen(b, "tcp:127.0.0.1:0")})
    limit = time.monotonic() + 60
    while "will-converge" not in (info := a.qmp.cmd("query-migrate")):
        assert info["status"] in ("setup", "active")
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert info["ram"]["dirty-sync-count"] == 1
    assert info["will-converge"] is False
    migration.set_parameters(a, downtime_limit=60000)
    info = a.qmp.cmd("query-migrate")
    if info["status"] == "active":
        assert info["will-converge"] is True
        assert info["expected-total-time"] >= info["expected-end"] > 0
        assert info["expected-total-time"] >= info["total-time"]
    migration.set_parameters(a, max_bandwidth=0)
    migration.wait_moved(a, b)
