# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest prints: from a growing file, or from a socket with the time of every byte.

Both give `lines()`: the complete lines so far. A first line may have lost its head, because a
guest may move in the middle of one."""
import socket
import threading
import time


class SerialFile:
    def __init__(self, path):
        self.path = path

    def argument(self):
        return ["-serial", f"file:{self.path}"]

    def text(self):
        try:
            return self.path.read_bytes().decode("latin-1")
        except FileNotFoundError:
            return ""

    def lines(self):
        return [line.strip("\r") for line in self.text().split("\n")[:-1]]

    def close(self):
        pass


class SerialSocket:
    """The VMM connects to us; a thread reads, and notes when the bytes came."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.connection = None
        self.data = bytearray()
        self.arrivals = []  # (monotonic seconds, number of bytes)
        self.closed = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def argument(self):
        return ["-chardev", f"socket,id=guest-serial,path={self.path}",
                "-serial", "chardev:guest-serial"]

    def _read(self):
        try:
            self.connection = self.listener.accept()[0]
            while True:
                part = self.connection.recv(65536)
                if not part:
                    return
                self.arrivals.append((time.monotonic(), len(part)))
                self.data += part
        except OSError:
            return

    def send(self, text):
        end = time.monotonic() + 60
        while self.connection is None:
            if time.monotonic() > end:
                raise TimeoutError("the VMM did not connect its serial port")
            time.sleep(0.01)
        self.connection.sendall(text)

    def text(self):
        return bytes(self.data).decode("latin-1")

    def lines(self):
        return [line.strip("\r") for line in self.text().split("\n")[:-1]]

    def close(self):
        for s in (self.connection, self.listener):
            if s:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()


def longest_gap(*serials):
    """The longest silence in seconds over several logs taken as one: a guest that beats (beat=)
    is silent only while it does not run, so this is the outage as seen from outside."""
    times = sorted(t for s in serials for t, _ in s.arrivals)
    return max((b - a for a, b in zip(times, times[1:])), default=0.0)
