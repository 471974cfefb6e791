#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""House rules that a compiler does not check: layers, licence lines, file heads and sizes, functions
that fit a screen, headers that compile alone, and no abort on what a peer or a user controls. With
--cppcheck also what cppcheck calls an error."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
LAYERS = ["util", "io", "migration", "system", "hw", "qapi", "monitor", "main"]
MAX_LINES = 800
MAX_FUNCTION = 80
MAX_COLUMNS = 100
SOURCE = re.compile(r"\.(c|h|py|sh|S|def|lds)$|(^|/)(configure|Makefile|run|meson\.build)$")
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"

# Nothing in these folders may end the process over what it was given.
NO_ABORT = ("migration/", "io/", "monitor/", "system/", "hw/", "qapi/", "util/")
ABORTS = re.compile(r"\b(assert|abort|g_assert\w*|g_abort|g_error|__builtin_trap)\s*\(")
# file -> why the process may end there
ABORTS_ALLOWED = {
    "system/machine.c": "the machine lock taken twice or released by a stranger: no input does that, "
                        "and going on would corrupt the guest",
    "system/memory-view.c": "debug builds: a device reads the map between its edit and the commit",
}
# The thread sanitizer does not understand GLib's; util/lock.h has what to use.
GLIB_LOCKS = re.compile(r"\b(GMutex|GCond|GRWLock|GRecMutex|G_LOCK\w*|g_(?:mutex|cond)_\w+)\b")

# What cppcheck takes for an error and is none.
CPPCHECK_WRONG = [
    "legacyUninitvar",                # a buffer that an iovec points to
    "memleak:system/dirty-pagemap.c", # a struct that g_array_append_val copies
]


def tracked():
    """What git knows or would take; of a tree without git all but what is hidden or built. The owner
    of the tree need not be who runs this."""
    done = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"],
                          cwd=TOP, capture_output=True, text=True)
    if done.returncode == 0:
        return [f for f in done.stdout.splitlines() if (TOP / f).is_file()]
    paths = (p.relative_to(TOP) for p in sorted(TOP.rglob("*")) if p.is_file())
    return [str(p) for p in paths
            if not any(part.startswith((".", "build", "_", "results")) for part in p.parts)]


def check_layers(path, text, headers):
    """A folder may include its own headers, those of the layers below, and the public ones. The
    engine's private headers stay private: only migration/ and its tests see them."""
    folder = path.split("/")[0]
    if folder not in LAYERS:
        return
    for name in re.findall(r'^#include "([^"]+)"', text, re.M):
        if name.startswith("../"):
            yield f"includes {name}: no path out of the folder"
        owner = headers.get(name)
        if owner is None or owner == folder or name.startswith("migration/"):
            continue
        if LAYERS.index(owner) > LAYERS.index(folder):
            yield f"includes {name} of {owner}/, a layer above {folder}/"
        if owner == "migration":
            yield f"includes {name}, private to the engine: use include/migration/"


def check_functions(lines):
    """The kernel's brace style makes it easy: a body is from '{' to '}' in the first column."""
    begin = None
    for i, line in enumerate(lines):
        if line == "{":
            begin = i
        elif line == "}" and begin is not None:
            length = i - begin + 1
            if length > MAX_FUNCTION:
                yield f"line {begin}: a function of {length} lines does not fit a screen"
            begin = None


def check_c(path, text, lines, headers):
    if "/*" not in "\n".join(lines[1:12]):
        yield "does not say on top what it owns"
    for i, line in enumerate(lines, 1):
        if len(line.expandtabs(4)) > MAX_COLUMNS:
            yield f"line {i} is longer than {MAX_COLUMNS} columns"
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"line {i}: left open"
        if GLIB_LOCKS.search(line):
            yield f"line {i}: a lock of GLib's; use util/lock.h"
        if path.startswith(NO_ABORT) and path not in ABORTS_ALLOWED and ABORTS.search(line):
            yield f"line {i}: may end the process; fail with gw_fail(), or list the reason in lint.py"
    yield from check_functions(lines)
    yield from check_layers(path, text, headers)


def check_file(path, headers):
    text = (TOP / path).read_text(errors="replace")
    lines = text.splitlines()
    if len(lines) > MAX_LINES and path != "LICENSE":
        yield f"{len(lines)} lines, the limit is {MAX_LINES}: split it along its ideas"
    if SOURCE.search(path) and SPDX not in text[:400]:
        yield "no SPDX line on top"
    if path.endswith((".c", ".h")):
        yield from check_c(path, text, lines, headers)


def include_flags(path, builddir):
    """The include paths that meson gives to the folder of a header."""
    folder = path.split("/")[0]
    if folder == "include":
        return ["-Iinclude"]
    if folder not in LAYERS:  # tests see everything
        seen = LAYERS
    else:
        below = LAYERS[:LAYERS.index(folder) + 1]
        seen = [f for f in below if f != "migration" or folder == "migration"]
    flags = ["-Iinclude"] + [f"-I{f}" for f in seen]
    if builddir and "monitor" in seen:
        flags += [f"-I{builddir / 'qapi'}"]
    return flags


def compile_alone(path, builddir, glib_flags):
    """A header that needs another one to be included first is a trap for its next user."""
    with tempfile.NamedTemporaryFile("w", suffix=".c") as unit:
        unit.write(f'#include "{TOP / path}"\n')
        unit.flush()
        done = subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-Wall",
                               "-Werror", "-Wno-unused", "-fsyntax-only",
                               *include_flags(path, builddir),
                               f"-I{pathlib.Path(path).parent}", *glib_flags, unit.name],
                              cwd=TOP, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
    return [f"does not compile by itself: {first}"]


def check_headers(files, builddir):
    """Yields (header, finding). The guest's headers have a compiler mode of their own."""
    headers = [f for f in files if f.endswith(".h") and not f.startswith("tests/guest/")]
    flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0", "json-c"], capture_output=True,
                           text=True, check=True).stdout.split()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda f: compile_alone(f, builddir, flags), headers)
        for header, findings in zip(headers, results):
            yield from ((header, what) for what in findings)


def cppcheck(files):
    if not shutil.which("cppcheck"):
        return [("cppcheck", "is not installed: ./configure --install-deps --deps-only --for=lint")]
    sources = [f for f in files if f.endswith(".c") and f.split("/")[0] in LAYERS]
    done = subprocess.run(["cppcheck", "--quiet", f"-j{os.cpu_count()}", "--std=c11",
                           "--library=gtk",
                           "-D_GNU_SOURCE", "--template={file}: line {line}: {message} [{id}]",
                           *[f"--suppress={w}" for w in CPPCHECK_WRONG], "-Iinclude",
                           *[f"-I{f}" for f in LAYERS], *sources],
                          cwd=TOP, capture_output=True, text=True)
    findings = [line for line in done.stderr.splitlines() if re.match(r"\S+\.[ch]: line", line)]
    return [line.split(": ", 1) for line in findings]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--builddir", type=pathlib.Path, help="where the generated headers are")
    ap.add_argument("--cppcheck", action="store_true", help="run cppcheck as well")
    args = ap.parse_args()
    files = tracked()
    headers = {}
    for f in files:
        if f.endswith(".h") and f.split("/")[0] in LAYERS:
            headers[f.split("/", 1)[1]] = f.split("/")[0]
    findings = [(f, what) for f in files for what in check_file(f, headers)]
    findings += check_headers(files, args.builddir and args.builddir.resolve())
    if args.cppcheck:
        findings += cppcheck(files)
    for f, what in findings:
        print(f"{f}: {what}")
    lengths = [len((TOP / f).read_text(errors="replace").splitlines()) for f in files
               if f.endswith((".c", ".h"))]
    print(f"lint: {len(files)} files, C files and headers {statistics.median(lengths):.0f} lines in "
          f"the median and {max(lengths)} at most; {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
