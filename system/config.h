/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MachineConfig: what the command line asked for, as plain data. Made by system/cmdline*.c, read
 * by everybody who builds the machine; constant once main() has started the machine.
 * Strings are owned by the config; lists are GPtrArrays with free functions.
 */
#ifndef SYSTEM_CONFIG_H
#define SYSTEM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define MACHINE_MAX_CPUS 16

/* -object memory-backend-{ram,memfd,file} and what -m/-mem-path/-mem-prealloc imply. */
typedef struct MemoryBackendConfig {
    char *id;
    char *qom_type;       /* "memory-backend-ram", "-memfd", "-file" */
    uint64_t size;        /* bytes */
    char *mem_path;       /* file */
    bool share, has_share;
    bool prealloc;
    bool hugetlb;         /* memfd */
    uint64_t hugetlbsize; /* memfd; bytes, 0: the system's default */
    bool merge_off, dump_off; /* accepted; no effect here */
    bool discard_data;    /* file */
    uint64_t align, offset; /* file; bytes */
    bool readonly;
} MemoryBackendConfig;

/* -chardev and the short forms of -serial, -monitor, -qmp. */
typedef struct ChardevConfig {
    char *id;
    char *backend;        /* "stdio", "file", "socket", "pty", "null", "pipe" */
    char *path;           /* file, pipe, unix socket, pty link */
    char *input_path;     /* file: input-path */
    char *host, *port;    /* tcp socket */
    char *fd;             /* socket: inherited (listening) descriptor, number or getfd name */
    bool server, wait, append, telnet, nodelay, ipv4, ipv6, mux, signal;
    bool has_wait, has_signal;
    int reconnect;        /* seconds */
    char *logfile;
    bool logappend;
} ChardevConfig;

typedef struct MonitorConfig {
    char *id;
    char *chardev;        /* id of a chardev */
    bool control;         /* QMP; else HMP */
    bool pretty;
} MonitorConfig;

typedef struct SerialConfig {
    char *chardev;        /* id; NULL for "none" */
    int index;            /* 0..3, -1: the next free */
} SerialConfig;

/* -device loader,... */
typedef struct LoaderConfig {
    char *file;
    uint64_t addr, data;
    uint8_t data_len;     /* 1..8: write `data`, 0: load `file` */
    bool has_addr, force_raw, data_be;
    int cpu_num;          /* -1: none */
} LoaderConfig;

/* -drive / -blockdev: a raw image, of a disk (-device virtio-blk-device,drive=ID) or to boot from
 * its first sector. */
typedef struct DriveConfig {
    char *id, *file, *format, *iface;
    char *cache;          /* -drive cache=: "none", ...; NULL: writeback */
    bool cache_direct, cache_no_flush; /* -blockdev cache.direct, cache.no-flush */
    bool aio_threads;     /* aio=threads: no io_uring */
    bool unmap;           /* discard=unmap */
    bool locking_off;     /* -blockdev locking=off */
    bool readonly;
} DriveConfig;

/* -device of a type that the board makes (hw/): what it may set is for the device to know. */
typedef struct DeviceConfig {
    char *driver, *id;    /* "virtio-blk-device"; id NULL: none given */
    GHashTable *props;    /* char * -> char * */
} DeviceConfig;

typedef struct AccelConfig {
    char *name;           /* "kvm", "sim" */
    GHashTable *props;    /* char * -> char *: dirty-ring-size, pattern, rate, ... */
} AccelConfig;

/* Where a network backend leads: host and port, a unix path, or an inherited descriptor. */
typedef struct NetAddress {
    char *host, *port, *path, *fd;
    bool ipv4, ipv6;
} NetAddress;

/* -netdev. */
typedef struct NetdevConfig {
    char *id;
    char *type;           /* as it was given: "tap", "socket", "stream", "dgram" */
    const char *kind;     /* what serves it: "tap", "stream", "dgram" */
    char *ifname;         /* tap */
    GPtrArray *fds;       /* tap: of char *, descriptors or getfd names, one for each queue */
    unsigned queues;      /* tap: pairs */
    bool vnet_hdr, has_vnet_hdr; /* tap */
    NetAddress local, remote; /* stream has one of them: server or client */
    bool server;          /* stream */
    unsigned reconnect;   /* stream client: ms, 0: never again */
} NetdevConfig;

typedef struct FdsetConfig {
    int set, fd;
    char *opaque;
} FdsetConfig;

typedef struct MachineConfig {
    char *machine_type;   /* "none", "microvm" */
    GHashTable *machine_props; /* char * -> char *: pic, pit, rtc, isa-serial, acpi, x-option-roms,
                                  memory-backend, suppress-vmdesc, ... */
    GPtrArray *accels;    /* of AccelConfig, tried in order */
    char *cpu_model;      /* "host", "max", ... with its features, NULL: default */
    unsigned smp;         /* 1..16 */
    uint64_t ram_size;    /* bytes */
    char *mem_path;
    bool mem_prealloc;
    GPtrArray *backends;  /* of MemoryBackendConfig */
    char *kernel, *append, *initrd, *bios;
    GPtrArray *loaders, *drives, *chardevs, *serials, *monitors, *fdsets;
    GPtrArray *devices;   /* of DeviceConfig */
    GPtrArray *netdevs;   /* of NetdevConfig */
    GPtrArray *globals;   /* of char *: "migration.send-switchover-start=off" */
    char *name;           /* -name guest=... */
    bool debug_threads;
    uint8_t uuid[16];
    bool has_uuid;
    char *incoming;       /* NULL, "defer" or a URI */
    bool start_paused;    /* -S */
    bool no_shutdown, no_reboot;
    bool daemonize, nographic, nodefaults;
    char *pidfile;
    char *log_file;       /* -D */
    char *log_items;      /* -d */
    GPtrArray *traces;    /* of char *: patterns */
    bool msg_timestamp;
    bool exit_with_parent;
} MachineConfig;

MachineConfig *machine_config_new(void);
void machine_config_free(MachineConfig *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MachineConfig, machine_config_free)

/*
 * Parses QEMU's command line. An unknown option or value is an error that names the nearest
 * supported one. `*exit_code` >= 0 means: printed what was asked (-version, -help, -machine help);
 * leave with that code.
 */
MachineConfig *cmdline_parse(int argc, char **argv, int *exit_code, GError **errp);

/* A machine property as a boolean (on/off/yes/no/true/false/auto -> def). */
bool machine_config_prop_bool(const MachineConfig *c, const char *name, bool def);
const char *machine_config_prop(const MachineConfig *c, const char *name);

#endif
