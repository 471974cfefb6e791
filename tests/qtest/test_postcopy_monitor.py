# SPDX-License-Identifier: GPL-2.0-or-later
"""What the monitors tell of a postcopy, and that they answer whatever the connection does."""
import socket
import time

import pytest

from godwit import migration, postcopy, workload
from godwit.qmp import QMP, QMPError

MIGRATION = {"instances": [{"type": "migration"}]}
FAR = 0x3e00000  # in the last part of 64 MiB: the workload is below, so nobody asks for it


def hmp(machine, line):
    return machine.qmp.cmd("human-monitor-command", {"command-line": line})


def start(source, destination, mode="preempt", background=postcopy.BACKGROUND, extra=()):
    postcopy.enable(source, destination, mode, extra, background=background)
    postcopy.begin(source, migration.listen(destination, "tcp:127.0.0.1:0"))
    postcopy.wait_running(source, destination)


def resume(source, destination):
    destination.qmp.cmd("migrate-recover", {"uri": "tcp:127.0.0.1:0"})
    port = destination.qmp.cmd("query-migrate")["socket-address"][0]["port"]
    assert hmp(source, f"migrate -d -r tcp:127.0.0.1:{port}") == ""
    migration.wait_status(source, "postcopy-active", "completed", but=("failed",))
    migration.wait_status(destination, "postcopy-active", "completed", but=("failed",))


def negotiate_oob(machine):
    """A new client, which may send commands out of band."""
    machine.qmp.close()
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(f"{machine.dir}/qmp")
    machine.qmp = QMP(sock, negotiate=False)
    machine.qmp.cmd("qmp_capabilities", {"enable": ["oob"]})


def wait_paused(*machines):
    for m in machines:
        migration.wait_status(m, "postcopy-paused")


@pytest.mark.parametrize("blocktime", [True, False])
def test_latency_is_shown(pair, blocktime):
    source, destination = pair(cpus=2)
    start(source, destination, extra=("postcopy-blocktime",) if blocktime else ())
    postcopy.wait_requests(source, 32)
    running = destination.qmp.cmd("query-migrate")
    assert sum(running["postcopy-latency-dist"]) > 0 and running["postcopy-latency"] > 0
    assert "postcopy-blocktime" not in running
    preempt = postcopy.finish(source, destination)["postcopy-preempt"]
    assert preempt["urgent-pages"] > 0 and preempt["prefetch-offered"] == 0
    info = destination.qmp.cmd("query-migrate")
    assert len(info["postcopy-latency-dist"]) == 24
    assert len(info["postcopy-vcpu-latency"]) == 2 and max(info["postcopy-vcpu-latency"]) > 0
    split = info["postcopy-latency-split"]
    assert abs(sum(split.values()) - info["postcopy-latency"]) <= 3, info
    assert ("postcopy-blocktime" in info) == blocktime
    assert len(info.get("postcopy-vcpu-blocktime", [0, 0])) == 2
    text = hmp(destination, "info migrate -a")
    assert "Page faults: \t\tcount=" in text and "postcopy latency distribution:" in text
    assert "Urgent Pages: \tpreempt=" in hmp(source, "info migrate")


def test_a_precopy_shows_none_of_it(pair):
    source, destination = pair()
    for m in (source, destination):
        postcopy.capabilities(m, ["postcopy-ram", "postcopy-blocktime"])
    info = migration.migrate(source, destination)
    info.update(destination.qmp.cmd("query-migrate"))
    assert not [k for k in info if k.startswith("postcopy-")]


def test_yank_frees_a_hung_precopy(pair):
    source, _ = pair()
    with socket.create_server(("127.0.0.1", 0)) as hole:
        assert source.qmp.cmd("query-yank") == []
        with pytest.raises(QMPError, match="Instance not found"):
            source.qmp.cmd("yank", MIGRATION)
        migration.set_parameters(source, max_bandwidth=0)
        source.qmp.cmd("migrate", {"uri": f"tcp:127.0.0.1:{hole.getsockname()[1]}"})
        migration.wait_status(source, "active")
        assert source.qmp.cmd("query-yank") == MIGRATION["instances"]
        source.qmp.cmd("yank", MIGRATION)
        info = migration.wait_status(source, "failed")
    assert "ended by yank" in info["error-desc"]
    source.wait_run_state("running")
    assert source.qmp.cmd("query-yank") == []


def test_yank_pauses_a_postcopy(pair):
    source, destination = pair()
    start(source, destination)
    for victim in (source, destination):
        victim.qmp.cmd("yank", MIGRATION)
        wait_paused(source, destination)
        assert migration.wait_status(victim, "postcopy-paused")["error-desc"] == "paused by yank"
        assert source.qmp.cmd("query-yank") == destination.qmp.cmd("query-yank") == []
        resume(source, destination)
    postcopy.finish(source, destination)
    workload.verify(destination)


def test_commands_out_of_band(pair):
    source, destination = pair()
    start(source, destination)
    for m in (source, destination):
        negotiate_oob(m)
    source.qmp.cmd_raw({"exec-oob": "migrate-pause"})
    wait_paused(source, destination)
    reply = destination.qmp.cmd_raw({"exec-oob": "migrate-recover", "id": 7,
                                     "arguments": {"uri": "tcp:127.0.0.1:0"}})
    assert reply == {"return": {}, "id": 7}
    resume(source, destination)
    postcopy.finish(source, destination)


def test_reading_what_has_not_arrived(pair, tmp_path):
    """A page that is there only after the next resume must not take the monitor along."""
    source, destination = pair()
    start(source, destination, background=1 << 20)
    destination.qmp.cmd("migrate-pause")
    wait_paused(source, destination)
    assert "Memory has not arrived yet" in hmp(destination, f"xp /1xg {FAR:#x}")
    with pytest.raises(QMPError, match="has not arrived yet"):
        destination.qmp.cmd("pmemsave", {"val": FAR, "size": 8192,
                                         "filename": str(tmp_path / "missing")})
    resume(source, destination)
    end = time.monotonic() + 60
    while "not arrived" in hmp(destination, f"xp /1xg {FAR:#x}"):
        assert time.monotonic() < end
    destination.qmp.cmd("pmemsave", {"val": FAR, "size": 8192,
                                     "filename": str(tmp_path / "there")})
    assert (tmp_path / "there").stat().st_size == 8192
    postcopy.finish(source, destination)
    workload.verify(destination)


def test_quit_while_a_read_waits(pair):
    source, destination = pair()
    start(source, destination, background=1 << 20)
    destination.qmp.cmd("migrate-pause")
    wait_paused(destination)
    assert "Memory has not arrived yet" in hmp(destination, f"xp /1xg {FAR:#x}")
    destination.qmp.cmd("quit")
    assert destination.process.wait(20) == 0
