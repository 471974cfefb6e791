# SPDX-License-Identifier: GPL-2.0-or-later
"""Which binaries, accelerators and guests there are here.

GODWIT_BIN: the binary under test; GODWIT_BUILD: the build directory; GODWIT_ACCEL: kvm or sim, by
default kvm where /dev/kvm works; GODWIT_GUEST: the guest's ELF; GODWIT_QEMU: stock QEMU;
GODWIT_TRIXIE: a tree with a newer one."""
import fcntl
import functools
import os
import pathlib
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[3]
KVM_GET_API_VERSION = 0xAE00


def build_dir():
    return pathlib.Path(os.environ.get("GODWIT_BUILD", TOP / "build"))


def godwit_bin():
    return [os.environ.get("GODWIT_BIN", str(build_dir() / "godwit-system-x86_64"))]


def loopback():
    """An address that only this process uses: a port that was free there still is when a VMM gets
    to it, whatever runs beside."""
    return ".".join(str(n) for n in (127, *os.getpid().to_bytes(4, "big")[1:]))


def guest_elf():
    return pathlib.Path(os.environ.get("GODWIT_GUEST", build_dir() / "tests/guest/guest.elf"))


@functools.lru_cache(None)
def kvm_works():
    """True if /dev/kvm opens for reading and writing and answers with API version 12."""
    try:
        fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return fcntl.ioctl(fd, KVM_GET_API_VERSION, 0) == 12
    except OSError:
        return False
    finally:
        os.close(fd)


def accel():
    return os.environ.get("GODWIT_ACCEL") or ("kvm" if kvm_works() else "sim")


def is_stock(command):
    return "qemu-system" in command[-1]


@functools.lru_cache(None)
def stock_qemu():
    """The command of Debian's QEMU, or None."""
    path = os.environ.get("GODWIT_QEMU") or shutil.which("qemu-system-x86_64")
    return (path,) if path else None


@functools.lru_cache(None)
def trixie_qemu():
    """(command, None) of the QEMU in a trixie tree, or (None, why there is none)."""
    script = TOP / "scripts" / "trixie-tree.sh"
    p = subprocess.run([str(script)], capture_output=True, text=True)
    if p.returncode:
        lines = (p.stderr.strip() or f"exit status {p.returncode}").splitlines()
        return None, f"no trixie tree: {lines[-1]}"
    tree = p.stdout.strip().splitlines()[-1]
    return ("chroot", tree, "/usr/bin/qemu-system-x86_64"), None


@functools.lru_cache(None)
def version(command):
    """(major, minor) of a QEMU command."""
    out = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    numbers = out.split("version ")[1].split()[0].split(".")
    return int(numbers[0]), int(numbers[1])
