# SPDX-License-Identifier: GPL-2.0-or-later
"""migrate_cancel works in every phase: the guest goes on at the source, unharmed, and the next
migrate succeeds."""
import socket
import threading
import time

import pytest

from godwit import migration, workload


@pytest.fixture
def source(machines):
    vm = machines(name="src", mem="64M", **workload.guest()).start()
    workload.wait_ready(vm)
    return vm


def cancel_and_move(source, machines):
    """The guest has not noticed, and moves when asked again."""
    source.qmp.cmd("migrate_cancel")
    migration.wait_status(source, "cancelled")
    source.wait_run_state("running")
    workload.verify(source)
    migration.set_capabilities(source, pause_before_switchover=False, return_path=False)
    migration.set_parameters(source, max_bandwidth=0)
    there = machines(name="dst2", mem="64M", incoming="defer", **workload.guest()).start()
    migration.migrate(source, there)
    workload.verify(there)


class Listener:
    """Takes one connection; reads it if told to, never answers."""

    def __init__(self, path, reads):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.uri = f"unix:{path}"
        self.reads = reads
        self.tail = b""
        self.connection = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.connection = self.listener.accept()[0]
            while self.reads and (part := self.connection.recv(1 << 20)):
                self.tail = (self.tail + part)[-65536:]
        except OSError:
            pass

    def wait_end(self, timeout=60):
        """Until the stream's last piece, the description of the state, has come."""
        end = time.monotonic() + timeout
        while not (b'"page_size"' in self.tail and self.tail.endswith(b"}")):
            assert time.monotonic() < end, "the stream did not end"
            time.sleep(0.005)

    def close(self):
        self.listener.close()
        if self.connection:
            self.connection.close()


@pytest.fixture
def listener(source):
    made = []

    def make(reads):
        made.append(Listener(source.dir / "peer", reads))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_cancel_when_nothing_runs_is_no_error(source):
    source.qmp.cmd("migrate_cancel")
    assert source.run_state() == "running"


def test_cancel_while_connecting(source, machines):
    # A listener whose queue is full: a further connection neither succeeds nor fails.
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    crowd = []
    for _ in range(8):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        crowd.append(s)
    source.qmp.cmd("migrate", {"uri": f"tcp:127.0.0.1:{port}"})
    assert migration.status(source) == "setup"
    cancel_and_move(source, machines)
    for s in (full, *crowd):
        s.close()


def test_cancel_in_the_first_pass(source, machines):
    there = machines(name="dst", mem="64M", incoming="defer", **workload.guest()).start()
    migration.set_parameters(source, max_bandwidth=1 << 20)
    source.qmp.cmd("migrate", {"uri": migration.listen(there, f"unix:{there.dir}/migrate")})
    migration.wait_status(source, "active")
    cancel_and_move(source, machines)


def test_cancel_while_the_peer_does_not_read(source, machines, listener):
    migration.set_parameters(source, max_bandwidth=0)
    source.qmp.cmd("migrate", {"uri": listener(reads=False).uri})
    migration.wait_status(source, "active")
    cancel_and_move(source, machines)


def test_cancel_in_pre_switchover(source, machines, listener):
    migration.set_capabilities(source, pause_before_switchover=True)
    migration.set_parameters(source, max_bandwidth=0, downtime_limit=2000)
    source.qmp.cmd("migrate", {"uri": listener(reads=True).uri})
    migration.wait_status(source, "pre-switchover")
    assert source.run_state() == "finish-migrate"
    cancel_and_move(source, machines)


def test_cancel_while_the_destinations_answer_is_out_leaves_the_guest_paused(source, machines,
                                                                             listener):
    # The destination has everything and may be about to run: only the user can know.
    migration.set_capabilities(source, return_path=True)
    migration.set_parameters(source, max_bandwidth=0, downtime_limit=2000)
    peer = listener(reads=True)
    source.qmp.cmd("migrate", {"uri": peer.uri})
    peer.wait_end()
    source.qmp.cmd("migrate_cancel")
    migration.wait_status(source, "cancelled")
    source.wait_run_state("paused")
    source.qmp.cmd("cont")
    cancel_and_move(source, machines)


def test_cancel_twice_is_no_error(source, machines, listener):
    source.qmp.cmd("migrate", {"uri": listener(reads=False).uri})
    source.qmp.cmd("migrate_cancel")
    cancel_and_move(source, machines)


def test_the_destination_of_a_cancelled_migration_can_wait_again(machines):
    a = machines(name="src", mem="64M", **workload.guest()).start()
    b = machines(name="dst", mem="64M", incoming="defer", **workload.guest()).start()
    workload.wait_ready(a)
    uri = f"unix:{b.dir}/migrate"
    b.qmp.cmd("migrate-incoming", {"uri": uri, "exit-on-error": False})
    migration.set_parameters(a, max_bandwidth=1 << 20)
    a.qmp.cmd("migrate", {"uri": uri})
    migration.wait_status(b, "active")
    a.qmp.cmd("migrate_cancel")
    migration.wait_status(a, "cancelled")
    migration.wait_status(b, "failed", but=["completed"])
    migration.set_parameters(a, max_bandwidth=0)
    b.qmp.cmd("migrate-incoming", {"uri": f"{uri}2"})
    a.qmp.cmd("migrate", {"uri": f"{uri}2"})
    migration.wait_moved(a, b)
    workload.verify(b)
