# SPDX-License-Identifier: GPL-2.0-or-later
"""A QMP client on a unix socket: commands, events, descriptors over SCM_RIGHTS. One thread."""
import array
import json
import select
import socket
import time


class QMPError(Exception):
    """The monitor answered with an error; `desc` and `error_class` say which."""

    def __init__(self, command, error):
        self.desc = error.get("desc", "")
        self.error_class = error.get("class", "")
        super().__init__(f"{command}: {self.error_class}: {self.desc}")


class QMPClosed(Exception):
    """The monitor hung up."""


class QMP:
    def __init__(self, sock, negotiate=True):
        self.sock = sock
        self.buffer = b""
        self.events = []
        self.ids = 0
        self.greeting = self.read(30)
        if negotiate:
            self.cmd("qmp_capabilities")

    def close(self):
        self.sock.close()

    def read(self, timeout):
        """The next message; None after `timeout` seconds."""
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left < 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise QMPClosed("the monitor closed the connection")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line) if line.strip() else self.read(max(0, end - time.monotonic()))

    def send_raw(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([data], ancillary)
        except BrokenPipeError as e:
            raise QMPClosed("the monitor closed the connection") from e

    def cmd_raw(self, message, fds=(), timeout=60):
        """Sends a whole message; the whole reply. Events that come meanwhile are kept."""
        self.send_raw(json.dumps(message).encode() + b"\n", fds)
        end = time.monotonic() + timeout
        while True:
            reply = self.read(max(0, end - time.monotonic()))
            if reply is None:
                raise TimeoutError(f"no reply to {message} in {timeout} s")
            if "event" in reply:
                self.events.append(reply)
            else:
                return reply

    def cmd(self, name, arguments=None, fds=(), timeout=60):
        """The command's return value; QMPError if it fails."""
        self.ids += 1
        message = {"execute": name, "id": self.ids}
        if arguments is not None:
            message["arguments"] = arguments
        reply = self.cmd_raw(message, fds, timeout)
        if "error" in reply:
            raise QMPError(name, reply["error"])
        assert reply.get("id") == self.ids, reply
        return reply["return"]

    def pump(self, timeout=0):
        """Takes in the events that are there, waiting up to `timeout` for the first."""
        while True:
            message = self.read(timeout)
            if message is None:
                return
            assert "event" in message, message
            self.events.append(message)
            timeout = 0

    def wait_event(self, name, timeout=60, **data):
        """The first event of that name whose data has these members; it is taken from the list."""
        end = time.monotonic() + timeout
        while True:
            for i, event in enumerate(self.events):
                if event["event"] == name and all(
                        event.get("data", {}).get(k) == v for k, v in data.items()):
                    return self.events.pop(i)
            left = end - time.monotonic()
            if left < 0:
                raise TimeoutError(f"no event {name} {data} in {timeout} s; came: {self.events}")
            self.pump(left)

    def statuses(self):
        """The migration statuses that the events told so far, in order."""
        self.pump()
        return [e["data"]["status"] for e in self.events if e["event"] == "MIGRATION"]
