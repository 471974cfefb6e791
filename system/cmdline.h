/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the command line: the option table and the state that its handlers share while one command
 * line is parsed. Private to cmdline*.c, apart from the table walk that prints the reference.
 * Main thread only.
 */
#ifndef SYSTEM_CMDLINE_H
#define SYSTEM_CMDLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

#include "cmdline-keyval.h"
#include "config.h"

typedef struct Cmdline {
    MachineConfig *config;
    int exit_code;          /* >= 0: something was printed, leave */
    GHashTable *machine;    /* char * -> char *: merged -machine options, "type" too */
    uint64_t smp[5];        /* cpus, sockets, dies, cores, threads; 0: not given */
    uint64_t smp_maxcpus;
    uint64_t ram_size;      /* -m; 0: not given */
    bool enable_kvm;
    bool accel_given;       /* -accel */
    bool default_serial, default_monitor; /* still wanted */
    unsigned nr_serial;     /* -serial seen */
    unsigned nr_compat_monitor;
} Cmdline;

typedef bool (*CmdlineHandler)(Cmdline *cl, const char *arg, GError **errp);

/* One option. Exactly one of handler, noop and unsupported is set. */
typedef struct CmdlineOption {
    const char *name;
    const char *arg;         /* form of the argument; NULL: takes none */
    const char *help;
    CmdlineHandler handler;
    const char *noop;        /* accepted without an effect: why that is right */
    const char *unsupported; /* known from QEMU, refused: what to do instead */
} CmdlineOption;

/* The one table: dispatch, -help and the reference manual come from it. Ended by name NULL. */
extern const CmdlineOption cmdline_options[];

/* ---- cmdline-help.c ---- */
void cmdline_print_help(FILE *out);
void cmdline_print_reference(FILE *out); /* reStructuredText */
void cmdline_print_version(FILE *out);
/* The words "help" and "?" ask for a list. */
bool cmdline_wants_help(const char *arg);

/* ---- config.c ---- */
GHashTable *config_props_new(void);
AccelConfig *config_add_accel(MachineConfig *c, const char *name);

/* ---- handlers; each file says what it owns ---- */
/* cmdline-machine.c */
bool cmdline_machine(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_accel(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_enable_kvm(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_no_acpi(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_machine_finish(Cmdline *cl, GError **errp);
/* cmdline-accel.c */
bool cmdline_accel_finish(Cmdline *cl, GError **errp);
/* cmdline-cpu.c */
bool cmdline_cpu(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_smp(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_smp_finish(Cmdline *cl, GError **errp);
/* cmdline-memory.c */
bool cmdline_memory(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_mem_path(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_mem_prealloc(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_memory_backend(Cmdline *cl, const char *qom_type, KeyValList *kv, GError **errp);
bool cmdline_memory_finish(Cmdline *cl, GError **errp);
/* cmdline-object.c */
bool cmdline_object(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_add_fd(Cmdline *cl, const char *arg, GError **errp);
/* cmdline-device.c */
bool cmdline_device(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_global(Cmdline *cl, const char *arg, GError **errp);
/* cmdline-drive.c */
bool cmdline_drive(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_blockdev(Cmdline *cl, const char *arg, GError **errp);
DriveConfig *cmdline_find_drive(Cmdline *cl, const char *id);
/* cmdline-netdev.c */
bool cmdline_netdev(Cmdline *cl, const char *arg, GError **errp);
/* cmdline-boot.c */
bool cmdline_kernel(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_append(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_initrd(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_bios(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_boot(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_rtc(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_boot_finish(Cmdline *cl, GError **errp);
/* cmdline-chardev.c */
bool cmdline_chardev(Cmdline *cl, const char *arg, GError **errp);
ChardevConfig *cmdline_find_chardev(Cmdline *cl, const char *id);
/* cmdline-serial.c: the short forms of chardevs and who uses them */
bool cmdline_serial(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_parallel(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_monitor(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_qmp(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_qmp_pretty(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_mon(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_add_serial(Cmdline *cl, const char *chardev, int index, GError **errp);
void cmdline_add_monitor(Cmdline *cl, const char *id, const char *chardev, bool control,
                         bool pretty);
bool cmdline_chardevs_finish(Cmdline *cl, GError **errp);
/* cmdline-misc.c */
bool cmdline_name(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_uuid(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_incoming(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_paused(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_nodefaults(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_nographic(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_display(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_must_be_none(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_pidfile(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_daemonize(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_no_shutdown(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_no_reboot(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_overcommit(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_sandbox(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_audiodev(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_run_with(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_misc_finish(Cmdline *cl, GError **errp);
bool cmdline_help(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_help_rst(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_version(Cmdline *cl, const char *arg, GError **errp);
/* cmdline-log.c */
bool cmdline_msg(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_log_items(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_log_file(Cmdline *cl, const char *arg, GError **errp);
bool cmdline_trace(Cmdline *cl, const char *arg, GError **errp);

#endif
