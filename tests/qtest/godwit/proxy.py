# SPDX-License-Identifier: GPL-2.0-or-later
"""A network that breaks when told to: forwards TCP connections to a VMM, and can cut or stall each.

Connections are numbered as they come: in a postcopy 0 is the main channel and 1 the preempt channel,
and after a recovery 2 and 3. A thread per direction; `cut` and `stall` come from the test's."""
import socket
import struct
import threading
import time

CHUNK = 65536


class _Link:
    """One connection through the proxy."""

    def __init__(self, near, far, rate, hold):
        self.ends = (near, far)
        self.rate = rate
        self.open = (threading.Event(), threading.Event())  # to the destination, back
        for way, gate in enumerate(self.open):
            if way not in hold:
                gate.set()
        self.bytes = [0, 0]  # to the destination, back
        self.lost = [False, False]
        for way, (a, b) in enumerate(((near, far), (far, near))):
            threading.Thread(target=self._forward, args=(way, a, b), daemon=True).start()

    def _forward(self, way, here, there):
        try:
            while data := here.recv(CHUNK):
                self.open[way].wait()
                if self.lost[way]:
                    continue
                there.sendall(data)
                self.bytes[way] += len(data)
                if self.rate and way == 0:
                    time.sleep(len(data) / self.rate)
            self.open[way].wait()
            there.shutdown(socket.SHUT_WR)
        except OSError:
            self.open[way].wait()
            self.cut()

    def cut(self, reset=False):
        for s in self.ends:
            try:
                if reset:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        for gate in self.open:
            gate.set()


class Proxy:
    """`rates`: bytes/s to the destination, by connection number; others are as fast as it goes."""

    def __init__(self, uri=None, rates=None):
        self.links = []
        self.rates = rates or {}
        self.hold = ()  # new connections begin stalled in these ways, as `stall` counts them
        self.target = None
        if uri:
            self.forward_to(uri)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"tcp:127.0.0.1:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def forward_to(self, uri):
        """Where new connections go from now on: tcp:HOST:PORT."""
        host, port = uri.removeprefix("tcp:").rsplit(":", 1)
        self.target = (host, int(port))

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            # Whoever sees that the destination has the connection also finds its link.
            with self.lock:
                self._link(near)

    def _link(self, near):
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        rate = self.rates.get(len(self.links))
        for s in (near, far):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if rate:  # a slow line holds little
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
        self.links.append(_Link(near, far, rate, self.hold))

    def cut(self, *numbers, reset=False):
        """Breaks these connections (all without numbers): closed, or reset, as seen by both ends."""
        with self.lock:
            links = [self.links[n] for n in numbers] if numbers else list(self.links)
        for link in links:
            link.cut(reset)

    def lose(self, number, way):
        """From now on this connection takes everything in one direction and delivers nothing."""
        self.links[number].lost[way] = True

    def stall(self, *numbers, ways=(0, 1)):
        """From now on these connections are open and nothing gets through: to the destination (0),
        back (1), or either way."""
        self._gates("clear", numbers, ways)

    def flow(self, *numbers, ways=(0, 1)):
        """Ends a stall."""
        self._gates("set", numbers, ways)

    def _gates(self, action, numbers, ways):
        with self.lock:
            links = [self.links[n] for n in numbers] if numbers else list(self.links)
        for link in links:
            for way in ways:
                getattr(link.open[way], action)()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut()
