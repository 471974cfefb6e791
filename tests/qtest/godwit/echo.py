# SPDX-License-Identifier: GPL-2.0-or-later
"""The other end of the guest's network (tests/guest/net.c): sends each of its frames back, checks
the pattern, and keeps what else it sees, such as announcements. A thread per Echo."""
import fcntl
import os
import selectors
import socket
import struct
import threading

ETHERTYPE = 0x88B5
PATTERN_AT = 22
RARP = 0x8035


LONGEST = 9000


def _fold(x):
    return (x >> 24 ^ x >> 8) & 0xFF


# A byte is the xor of one that follows from its place and one that follows from its frame.
PLACES = bytes(_fold(i * 40503 & 0xFFFFFFFF) ^ i & 0xFF for i in range(LONGEST))
XOR = [bytes(a ^ b for b in range(256)) for a in range(256)]


def pattern(number, length, seed):
    """The bytes from PATTERN_AT to the end of a frame."""
    return PLACES[PATTERN_AT:length].translate(XOR[_fold(number * 2654435761 & 0xFFFFFFFF ^ seed)])


class Echo:
    """Subclasses say where frames come from. `frames`, `wrong` and `others` (frames of other
    types, as (link index, bytes)) may be read at any time."""

    def __init__(self, seed=1):
        self.seed = seed & 0xFFFFFFFF
        self.frames = self.wrong = 0
        self.others = []
        self.by_link = {}
        self.selector = selectors.DefaultSelector()
        self.wake = os.pipe()
        self.selector.register(self.wake[0], selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                key.data()

    def close(self):
        os.write(self.wake[1], b"x")
        self.thread.join(10)
        for fd in self.wake:
            os.close(fd)
        self.selector.close()

    def take(self, link, frame):
        """Whether to send it back."""
        if len(frame) < 60 or struct.unpack_from(">H", frame, 12)[0] != ETHERTYPE:
            self.others.append((link, bytes(frame)))
            return False
        number, length = struct.unpack_from(">II", frame, PATTERN_AT - 8)
        self.frames += 1
        self.by_link[link] = self.by_link.get(link, 0) + 1
        self.wrong += (length != len(frame) or
                       frame[PATTERN_AT:] != pattern(number, length, self.seed))
        return True

    def announcements(self):
        """Links on which a RARP announcement came, with its source address."""
        return [(link, f[6:12].hex(":")) for link, f in list(self.others)
                if struct.unpack_from(">H", f, 12)[0] == RARP and f[:6] == b"\xff" * 6]


class StreamEcho(Echo):
    """Listens for `-netdev stream` or `socket,connect=`: each connection is a link, by number."""

    def __init__(self, path=None, seed=1):
        super().__init__(seed)
        self.sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.sock.bind(str(path) if path else ("127.0.0.1", 0))
        self.sock.listen()
        self.links = []
        self.selector.register(self.sock, selectors.EVENT_READ, self.accept)

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def accept(self):
        conn, _ = self.sock.accept()
        self.adopt(conn)

    def adopt(self, conn):
        number, buffer = len(self.links), bytearray()
        self.links.append(conn)
        self.selector.register(conn, selectors.EVENT_READ,
                               lambda: self.readable(number, conn, buffer))

    def readable(self, number, conn, buffer):
        try:
            data = conn.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(conn)
            conn.close()
            return
        buffer += data
        out = bytearray()
        while len(buffer) >= 4:
            length = struct.unpack_from(">I", buffer)[0]
            if len(buffer) < 4 + length:
                break
            if self.take(number, buffer[4:4 + length]):
                out += buffer[:4 + length]
            del buffer[:4 + length]
        try:
            conn.sendall(out)
        except OSError:
            pass  # the other side has gone; the next read says so

    def send(self, number, frame):
        self.links[number].sendall(struct.pack(">I", len(frame)) + frame)

    def close(self):
        super().close()
        for s in [self.sock, *self.links]:
            s.close()


class PacketEcho(Echo):
    """Datagram sockets or packet sockets: one frame each time, one link per socket."""

    def add(self, sock, answer=None):
        number = len(self.by_link)
        self.by_link[number] = 0
        self.selector.register(sock, selectors.EVENT_READ,
                               lambda: self.packet(number, sock, answer))
        return number

    def packet(self, number, sock, answer):
        try:
            frame, sender = sock.recvfrom(1 << 17)
            if self.take(number, frame):
                if answer:
                    sock.sendto(frame, answer)
                else:
                    sock.send(frame)
        except OSError:
            pass  # a peer that is not there (yet, or any more) loses frames


TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x400454CA, 2, 0x1000, 0x4000, 0x100


class Tap:
    """A tap interface, up, with a packet socket on it; `fds` are its queues."""

    def __init__(self, name, queues=1, vnet_hdr=True, mtu=9000):
        self.name = name
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet_hdr else 0)
        flags |= IFF_MULTI_QUEUE if queues > 1 else 0
        self.fds = []
        for _ in range(queues):
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            self.fds.append(fd)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, 0x8922, struct.pack("16si20x", name.encode(), mtu))     # SIOCSIFMTU
            fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", name.encode(), 0x41))    # IFF_UP
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
        self.sock.bind((name, ETHERTYPE))

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
