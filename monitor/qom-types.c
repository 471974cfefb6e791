/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types that qom-list-types shows beside machines and accelerators: what -object and -device
 * can make. Tools take a type's presence as a promise, so that only what works is listed.
 * Constant data.
 */
#include "qom-types.h"

#include <stddef.h>

static const QomProperty backend_common[] = {
    {"type", "string", NULL},
    {"size", "int", "Size of the memory (ex: 500M)"},
    {"share", "bool", "Map the memory shared"},
    {"prealloc", "bool", "Touch all memory at the start"},
    {"merge", "bool", "Accepted; memory is never merged"},
    {"dump", "bool", "Accepted; no effect"},
    {NULL, NULL, NULL},
};

static const QomProperty backend_file[] = {
    {"type", "string", NULL},
    {"size", "int", "Size of the memory (ex: 500M)"},
    {"share", "bool", "Map the memory shared"},
    {"prealloc", "bool", "Touch all memory at the start"},
    {"merge", "bool", "Accepted; memory is never merged"},
    {"dump", "bool", "Accepted; no effect"},
    {"mem-path", "string", "The file, or a directory to make one in"},
    {"discard-data", "bool", "Throw the content away at exit"},
    {"align", "int", "Alignment of the mapping"},
    {"offset", "int", "Where in the file the memory begins"},
    {"readonly", "bool", "Open the file read-only"},
    {NULL, NULL, NULL},
};

static const QomProperty backend_memfd[] = {
    {"type", "string", NULL},
    {"size", "int", "Size of the memory (ex: 500M)"},
    {"share", "bool", "Map the memory shared"},
    {"prealloc", "bool", "Touch all memory at the start"},
    {"merge", "bool", "Accepted; memory is never merged"},
    {"dump", "bool", "Accepted; no effect"},
    {"hugetlb", "bool", "Use huge pages"},
    {"hugetlbsize", "int", "Huge pages size (ex: 2M, 1G)"},
    {NULL, NULL, NULL},
};

static const QomProperty isa_serial[] = {
    {"index", "uint32", "Which port, 0 to 3"},
    {"chardev", "str", "ID of a chardev to use as a backend"},
    {NULL, NULL, NULL},
};

static const QomProperty loader[] = {
    {"file", "str", "The image"},
    {"addr", "uint64", "Where it goes"},
    {"data", "uint64", "A value instead of an image"},
    {"data-len", "uint8", "Bytes of the value"},
    {"data-be", "bool", "The value is big-endian"},
    {"cpu-num", "uint32", "The vCPU that starts at the image"},
    {"force-raw", "bool", "Do not look for a format in the image"},
    {NULL, NULL, NULL},
};

const QomType qom_types[] = {
    {"accel", "object", true, NULL},
    {"machine", "object", true, NULL},
    {"container", "object", false, NULL},
    {"device", "object", true, NULL},
    {"isa-device", "device", true, NULL},
    {"isa-serial", "isa-device", false, isa_serial},
    {"loader", "device", false, loader},
    {"memory-backend", "object", true, NULL},
    {"memory-backend-ram", "memory-backend", false, backend_common},
    {"memory-backend-file", "memory-backend", false, backend_file},
    {"memory-backend-memfd", "memory-backend", false, backend_memfd},
    {NULL, NULL, false, NULL},
};
