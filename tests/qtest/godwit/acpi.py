# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a machine's ACPI tables out of its memory, as a guest finds them: checksums and lengths, the
entries of the MADT, registers of the FADT, devices and resources of the DSDT. Of AML it knows just
what such a DSDT is made of, and refuses the rest."""
import struct
import time

HEADER = 36
LOW = 0x90000  # below this no RSDP is


def _sound(data, what):
    assert sum(data) & 0xFF == 0, f"{what}: checksum"
    return data


def find_rsdp(vm):
    """Where a search finds it: on a border of 16 bytes, up to 1 MiB; None if it is not there."""
    low = vm.pmemsave(LOW, 0x100000 - LOW)
    for at in range(0, len(low) - 36, 16):
        if low[at:at + 8] == b"RSD PTR " and sum(low[at:at + 20]) & 0xFF == 0:
            return LOW + at
    return None


def _table(vm, at):
    size = struct.unpack_from("<I", vm.pmemsave(at, HEADER), 4)[0]
    assert HEADER <= size < 1 << 16, f"table at {at:#x}: {size} bytes"
    return _sound(vm.pmemsave(at, size), f"table at {at:#x}")


def _read_tables(vm):
    at = find_rsdp(vm)
    assert at is not None, "no RSDP"
    rsdp = _sound(vm.pmemsave(at, 36), "RSDP")
    xsdt = _table(vm, struct.unpack_from("<Q", rsdp, 24)[0])
    found = {"XSDT": xsdt}
    for (at,) in struct.iter_unpack("<Q", xsdt[HEADER:]):
        table = _table(vm, at)
        found[table[:4].decode()] = table
    found["DSDT"] = _table(vm, struct.unpack_from("<Q", found["FACP"], 140)[0])
    return found


def read_tables(vm, timeout=0):
    """{signature: bytes} of all that the XSDT leads to; firmware takes its time to put them there."""
    end = time.monotonic() + timeout
    while True:
        try:
            return _read_tables(vm)
        except AssertionError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.05)


def madt_entries(madt):
    """The entries' bytes."""
    entries, at = [], 44
    while at < len(madt):
        entries.append(madt[at:at + madt[at + 1]])
        at += madt[at + 1]
    return entries


def fadt_registers(fadt):
    """What a guest may use after it has moved."""
    return {"hardware reduced": bool(struct.unpack_from("<I", fadt, 112)[0] & 1 << 20),
            "reset": (fadt[116], struct.unpack_from("<Q", fadt, 120)[0], fadt[128]),
            "sleep control": (fadt[244], struct.unpack_from("<Q", fadt, 248)[0]),
            "sleep status": (fadt[256], struct.unpack_from("<Q", fadt, 260)[0])}


def _resources(data):
    """Descriptors up to the end tag, as tuples."""
    found, at = [], 0
    while data[at] != 0x79:
        tag = data[at]
        if tag & 0x80:
            body = data[at + 3:at + 3 + struct.unpack_from("<H", data, at + 1)[0]]
            at += 3 + len(body)
        else:
            body = data[at + 1:at + 1 + (tag & 7)]
            at += 1 + len(body)
        if tag == 0x86:
            found.append(("memory", *struct.unpack_from("<II", body, 1)))
        elif tag == 0x89:
            assert body[1] == 1, "one line each"
            found.append(("interrupt", body[0], struct.unpack_from("<I", body, 2)[0]))
        elif tag == 0x47:
            found.append(("ports", struct.unpack_from("<H", body, 1)[0], body[6]))
        elif tag == 0x22:
            found.append(("isa line", struct.unpack("<H", body)[0].bit_length() - 1))
        else:
            raise AssertionError(f"resource {tag:#x}")
    return found


def _eisaid(value):
    b = struct.pack("<I", value)
    letters = (b[0] >> 2, (b[0] & 3) << 3 | b[1] >> 5, b[1] & 31)
    return "".join(chr(64 + c) for c in letters) + b[2:].hex().upper()


class Dsdt:
    """devices: {name: {"_HID": ..., "_CRS": [...], ...}}, "\\" for the root."""

    def __init__(self, table):
        self.data, self.devices = table, {}
        self._terms(HEADER, len(table), "\\")

    def _package(self, at):
        """(where its content begins, where it ends)."""
        lead, more = self.data[at] & 63, self.data[at] >> 6
        if more:
            lead = lead & 15 | int.from_bytes(self.data[at + 1:at + 1 + more], "little") << 4
        assert at + lead <= len(self.data), f"package at {at:#x} is too long"
        return at + 1 + more, at + lead

    def _name(self, at):
        root = self.data[at:at + 1] == b"\\"
        at += root
        if self.data[at] == 0:
            return "\\", at + 1
        return self.data[at:at + 4].decode().rstrip("_"), at + 4

    def _value(self, at):
        op = self.data[at]
        if op <= 1:
            return op, at + 1
        if op in (0x0A, 0x0B, 0x0C, 0x0E):
            size = {0x0A: 1, 0x0B: 2, 0x0C: 4, 0x0E: 8}[op]
            return int.from_bytes(self.data[at + 1:at + 1 + size], "little"), at + 1 + size
        if op == 0x0D:
            end = self.data.index(0, at)
            return self.data[at + 1:end].decode(), end + 1
        start, end = self._package(at + 1)
        if op == 0x11:
            size, start = self._value(start)
            assert start + size == end, f"buffer at {at:#x}"
            return _resources(self.data[start:end]), end
        assert op == 0x12, f"AML {op:#x} at {at:#x}"
        values, at = [], start + 1
        while at < end:
            value, at = self._value(at)
            values.append(value)
        assert len(values) == self.data[start], f"package at {start:#x}"
        return values, end

    def _terms(self, at, end, where):
        here = self.devices.setdefault(where, {})
        while at < end:
            op = self.data[at]
            ext = self.data[at + 1] if op == 0x5B else 0
            if op == 0x08:
                name, at = self._name(at + 1)
                value, at = self._value(at)
                is_packed = name.startswith("_HID") and isinstance(value, int)
                here[name] = _eisaid(value) if is_packed else value
            elif op == 0x10:
                start, stop = self._package(at + 1)
                name, start = self._name(start)
                self._terms(start, stop, name)
                at = stop
            elif op == 0x14:
                start, at = self._package(at + 1)
                here[self._name(start)[0]] = "method"
            elif ext == 0x80:
                name, at = self._name(at + 2)
                base, at = self._value(at + 1)
                size, at = self._value(at)
                here[name] = ("registers", base, size)
            else:
                assert ext in (0x81, 0x82), f"AML {op:#x} at {at:#x}"
                start, stop = self._package(at + 2)
                if ext == 0x82:
                    name, start = self._name(start)
                    self._terms(start, stop, name)
                at = stop
        assert at == end, f"{where}: ends at {at:#x} instead of {end:#x}"
