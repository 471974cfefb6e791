# SPDX-License-Identifier: GPL-2.0-or-later
"""One end of a migration of -M none made by hand, so that it can misbehave.

FakeSource sends what a test tells it, FakeDestination takes a source's stream apart in threads,
answers its PINGs and keeps the pages."""
import socket
import threading
import time

from . import wire

TIMEOUT = 60


def hang_up(s):
    """A reader's file keeps a closed socket open; its connection ends all the same."""
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    s.close()


class FakeSource:
    def __init__(self, uri, size):
        self.size = size
        self.address = uri
        self.sockets = []
        self.main = self.connect()
        self.reader = wire.Reader(self.main)

    def connect(self, at=None):
        """A connection more, from another address `at` if wanted."""
        host, port = self.address.removeprefix("tcp:").rsplit(":", 1)
        s = socket.create_connection((host, int(port)), source_address=at)
        s.settimeout(TIMEOUT)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(s)
        return s

    def opening(self):
        """The elements up to the first pages."""
        return [wire.header(), wire.command(wire.OPEN_RETURN_PATH), wire.ping(1), wire.advise(),
                wire.ram_start("ram", self.size)]

    def handover(self, *in_package):
        """The elements from the switch to the permission to run."""
        return [wire.command(wire.SWITCHOVER_START), wire.discard("ram", 0, self.size),
                wire.ping(2),
                wire.package(wire.command(wire.LISTEN), *in_package, wire.ping(3), wire.ping(0x42),
                             wire.command(wire.RUN)),
                wire.ping(4)]

    def ending(self):
        return [wire.part(kind=3), b"\0"]

    def send(self, *elements):
        for element in elements:
            self.main.sendall(element)

    def wait(self, kind, payload=None):
        """The payload of the next return-path message of that type; others are passed over."""
        while True:
            got, body = self.reader.rp()
            if got == kind and payload in (None, body):
                return body

    def start(self, preempt=False):
        """Up to the guest's run on the destination; the preempt channel or None."""
        self.send(*self.opening())
        self.wait(wire.PONG, wire.be("I", 1))
        channel = self.connect() if preempt else None
        self.send(*self.handover())
        self.wait(wire.PONG, wire.be("I", 0x42))
        return channel

    def pages(self, data, skip=()):
        """One part with all pages of `data` but those with these numbers."""
        records, block = [], "ram"
        for n in range(len(data) // wire.PAGE):
            if n not in skip:
                records.append(wire.page(n * wire.PAGE, data[n * wire.PAGE:(n + 1) * wire.PAGE],
                                         block))
                block = None
        return wire.part(*records)

    def close(self):
        for s in self.sockets:
            hang_up(s)


class FakeDestination:
    """Accepts one main connection and, once that said LISTEN, preempt connections."""

    def __init__(self, answer=True):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"tcp:127.0.0.1:{self.listener.getsockname()[1]}"
        self.forget()
        self.sockets = []
        self.readers = []    # threads, one per connection
        self.main = None
        self.pages = {}      # offset -> data, however it came
        self.urgent = {}     # those that came on the preempt channel
        self.twice = 0
        self.lock = threading.Lock()
        self.sending = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self):
        """What has been seen of the present connection."""
        self.commands = []
        self.ended = threading.Event()

    def _accept(self):
        while True:
            try:
                s = self.listener.accept()[0]
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            run = self._urgent if self.main else self._main
            if not self.main:
                self.main = s
            reader = threading.Thread(target=run, args=(s,), daemon=True)
            reader.start()
            self.readers.append(reader)
            self.sockets.append(s)

    def _keep(self, record, where=None):
        _, _, offset, data = record
        with self.lock:
            self.twice += offset in self.pages
            self.pages[offset] = data
            if where is not None:
                where[offset] = data

    def _urgent(self, s):
        reader = wire.Reader(s)
        try:
            while (record := reader.record()) != ("eos",):
                self._keep(record, self.urgent)
        except wire.Closed:
            pass

    def _main(self, s):
        reader = wire.Reader(s)
        try:
            if not self.pages and not self.commands:
                reader.head()
            while (element := reader.element()) != ("end",):
                if element[0] == "command":
                    self._command(*element[1:])
                else:
                    for record in element[1]:
                        if record[0] == "page":
                            self._keep(record)
            self.ended.set()
        except wire.Closed:
            pass

    def _command(self, number, payload):
        if number == wire.PING and self.answer:
            self.send(wire.message(wire.PONG, payload))
        if number == wire.PACKAGED and self.answer:
            for value in (3, 0x42):
                self.send(wire.message(wire.PONG, wire.be("I", value)))
        if number == wire.DISCARD:
            with self.lock:
                for start, length in wire.discarded(payload):
                    for offset in range(start, start + length, wire.PAGE):
                        self.pages.pop(offset, None)
        self.commands.append((number, payload))

    def send(self, data):
        try:
            with self.sending:  # a PONG never lands within what a test sends
                self.main.sendall(data)
        except OSError:
            pass

    def wait_command(self, number, count=1):
        self.wait(lambda: sum(n == number for n, _ in self.commands) >= count,
                  f"command {number}: {[n for n, _ in self.commands]}")

    def wait_page(self, offset, urgent=False):
        where = self.urgent if urgent else self.pages
        self.wait(lambda: offset in where, f"page {offset:#x}")
        return where[offset]

    def wait(self, ready, what):
        end = time.monotonic() + TIMEOUT
        while not ready():
            assert time.monotonic() < end, f"this did not come: {what}"
            time.sleep(0.002)

    def wait_preempt(self):
        """Until the preempt channel is there: a connection that comes later would be another's."""
        self.wait(lambda: len(self.sockets) > 1, "the preempt channel")

    def wait_read(self):
        """Until all has been read that came on channels which the source has closed."""
        for reader in self.readers:
            reader.join(TIMEOUT)
            assert not reader.is_alive(), "a channel is still open"

    def take_over(self):
        """The next connection is the main channel of a recovery."""
        self.forget()
        self.commands.append((0, b""))  # no header comes
        self.main = None

    def drop(self):
        """Hangs up; what has come until now counts as received."""
        for s in self.sockets:
            hang_up(s)
        self.wait_read()
        self.sockets.clear()
        self.readers.clear()

    def close(self):
        hang_up(self.listener)
        self.drop()
