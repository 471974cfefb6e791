# SPDX-License-Identifier: GPL-2.0-or-later
"""The migration stream as far as the tests speak it themselves: -M none, RAM, commands, the return
path. Encoders, and a reader that takes a source's stream apart."""
import struct

PAGE = 4096
ZERO, MEM_SIZE, NORMAL, EOS, CONTINUE = 0x02, 0x04, 0x08, 0x10, 0x20
OPEN_RETURN_PATH, PING, ADVISE, LISTEN, RUN, DISCARD, PACKAGED = 1, 2, 3, 4, 5, 6, 7
RESUME, RECV_BITMAP, SWITCHOVER_START = 9, 10, 11
SHUT, PONG, REQ_PAGES_ID, REQ_PAGES, RP_RECV_BITMAP, RESUME_ACK = 1, 2, 3, 4, 5, 6
BITMAP_END = 0x0123456789ABCDEF


def be(fmt, *values):
    return struct.pack(">" + fmt, *values)


def string(text):
    return bytes([len(text)]) + text.encode()


def header(machine="none"):
    return be("II", 0x5145564D, 3) + b"\x07" + be("I", len(machine)) + machine.encode()


def command(number, payload=b""):
    return b"\x08" + be("HH", number, len(payload)) + payload


def ping(value):
    return command(PING, be("I", value))


def ram_start(block, size):
    return (b"\x01" + be("I", 1) + string("ram") + be("II", 0, 4) + be("Q", size | MEM_SIZE)
            + string(block) + be("Q", size) + be("Q", EOS) + footer())


def footer():
    return b"\x7e" + be("I", 1)


def part(*records, kind=2):
    return bytes([kind]) + be("I", 1) + b"".join(records) + be("Q", EOS) + footer()


def page(offset, data, block=None):
    """A page record; data None: a zero page; block None: of the same block as the one before."""
    flags = (ZERO if data is None else NORMAL) | (0 if block else CONTINUE)
    return be("Q", offset | flags) + (string(block) if block else b"") + (data or b"\0")


def discard(block, start, length):
    return command(DISCARD, b"\0" + string(block) + b"\0" + be("QQ", start, length))


def discarded(payload):
    """The (start, length) pairs of a DISCARD."""
    at = 2 + payload[1] + 1
    assert payload[0] == 0 and payload[at - 1] == 0 and (len(payload) - at) % 16 == 0, payload
    return list(struct.iter_unpack(">QQ", payload[at:]))


def package(*elements):
    blob = b"".join(elements)
    return command(PACKAGED, be("I", len(blob))) + blob


def advise():
    return command(ADVISE, be("QQ", PAGE, PAGE))


def message(kind, payload=b""):
    return be("HH", kind, len(payload)) + payload


def request(start, length, block=None):
    payload = be("QI", start, length)
    return message(REQ_PAGES_ID, payload + string(block)) if block else message(REQ_PAGES, payload)


def bitmap(block, pages, size=None, mark=BITMAP_END):
    """The answer to RECV_BITMAP: `pages` have arrived, of `size` bytes of memory."""
    count = size // PAGE
    blob = bytearray((count + 63) // 64 * 8)
    for n in pages:
        blob[n // 8] |= 1 << n % 8
    return message(RP_RECV_BITMAP, string(block)) + be("Q", len(blob)) + bytes(blob) + be("Q", mark)


class Closed(Exception):
    """The other end closed the connection."""


class Reader:
    """Reads from a socket and takes apart."""

    def __init__(self, sock):
        self.file = sock.makefile("rb")
        self.block = None

    def take(self, n):
        try:
            data = self.file.read(n)
        except (OSError, ValueError) as e:
            raise Closed(str(e)) from e
        if len(data) < n:
            raise Closed(f"{len(data)} bytes of {n}")
        return data

    def number(self, fmt):
        return struct.unpack(">" + fmt, self.take(struct.calcsize(">" + fmt)))[0]

    def text(self):
        return self.take(self.number("B")).decode()

    def head(self):
        assert (self.number("I"), self.number("I")) == (0x5145564D, 3)
        assert self.number("B") == 7
        return self.take(self.number("I")).decode()

    def record(self):
        """("page", block, offset, data) or ("eos",) or ("blocks", {name: size})."""
        word = self.number("Q")
        flags, offset = word & 0xfff, word & ~0xfff
        if flags == EOS:
            return ("eos",)
        if flags == MEM_SIZE:
            blocks = {}
            while sum(blocks.values()) < offset:
                name = self.text()
                blocks[name] = self.number("Q")
            return ("blocks", blocks)
        if not flags & CONTINUE:
            self.block = self.text()
        if flags & ~CONTINUE == ZERO:
            assert self.take(1) == b"\0"
            return ("page", self.block, offset, bytes(PAGE))
        assert flags & ~CONTINUE == NORMAL, hex(word)
        return ("page", self.block, offset, self.take(PAGE))

    def element(self):
        """("command", number, payload), ("records", [...]) or ("end",). A package's payload is its
        blob."""
        kind = self.number("B")
        if kind == 0:
            return ("end",)
        if kind == 8:
            number, payload = self.number("H"), self.take(self.number("H"))
            if number == PACKAGED:
                payload = self.take(struct.unpack(">I", payload)[0])
            return ("command", number, payload)
        assert kind in (1, 2, 3), kind
        self.number("I")
        if kind == 1:
            assert (self.text(), self.number("I"), self.number("I")) == ("ram", 0, 4)
        records = []
        while (record := self.record()) != ("eos",):
            records.append(record)
        assert self.number("B") == 0x7e and self.number("I") >= 0
        return ("records", records)

    def rp(self):
        """A message of the return path: (type, payload); a bitmap's payload is the bitmap."""
        kind, payload = self.number("H"), self.take(self.number("H"))
        if kind == RP_RECV_BITMAP:
            payload = self.take(self.number("Q"))
            assert self.number("Q") == BITMAP_END
        return kind, payload
