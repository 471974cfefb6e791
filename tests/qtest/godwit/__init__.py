# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives virtual machine monitors, godwit and stock QEMU alike, for tests, benchmarks and the demo.

environment: which binaries and accelerators there are; qmp: the monitor; machine: one VMM process;
serial: what the guest prints, with times; guest: what its lines mean; migration: moving it.
"""
