/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * godwit-system-x86_64: makes the machine from the command line, runs the main loop, ends it.
 *
 * The order matters: a daemon forks before there are threads; sockets listen before the pid file is
 * written; the pid file is written before the parent of a daemon leaves; the guest starts last.
 * Everything here runs on the main thread, apart from incoming_failed().
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "boards.h"
#include "chardev.h"
#include "config.h"
#include "daemon.h"
#include "error.h"
#include "machine.h"
#include "monitor.h"
#include "report.h"
#include "runstate.h"
#include "trace.h"

typedef struct Process {
    const MachineConfig *config;
    Machine *machine;
    int daemon_fd, pidfile_fd; /* -1: none */
} Process;

/* ---- what ends it ---- */

static gboolean on_signal(Process *p, int sig)
{
    report_error("terminating on signal %d", sig);
    monitors_shutdown(p->machine, "host-signal");
    return G_SOURCE_CONTINUE;
}

static gboolean on_sigterm(gpointer opaque)
{
    return on_signal(opaque, SIGTERM);
}

static gboolean on_sigint(gpointer opaque)
{
    return on_signal(opaque, SIGINT);
}

static gboolean on_sighup(gpointer opaque)
{
    return on_signal(opaque, SIGHUP);
}

static gboolean exit_failed(gpointer opaque)
{
    machine_exit(opaque, 1);
    return G_SOURCE_REMOVE;
}

/* Any thread; the main loop may not run yet, so the exit goes through it. */
static void incoming_failed(void *opaque, const char *message)
{
    Process *p = opaque;

    report_error("load of migration failed: %s", message);
    g_idle_add(exit_failed, p->machine);
}

static gboolean exit_ok(gpointer opaque)
{
    machine_exit(opaque, 0);
    return G_SOURCE_REMOVE;
}

/* The guest switched itself off. The monitors, who listen too, are told first. */
static void run_state_changed(void *opaque, RunState old, RunState now)
{
    Process *p = opaque;

    if (now == RUN_STATE_SHUTDOWN && old == RUN_STATE_RUNNING &&
        !__atomic_load_n(&p->machine->no_shutdown, __ATOMIC_RELAXED)) {
        g_idle_add(exit_ok, p->machine);
    }
}

static const MachineMigrationListener migration_listener = {
    .incoming_failed = incoming_failed,
};

/* ---- start ---- */

static bool start_log(const MachineConfig *c, GError **errp)
{
    if (c->log_file && !trace_set_log_file(c->log_file)) {
        return gw_fail_errno(errp, GW_ERROR_GENERIC, errno, "-D %s", c->log_file);
    }
    for (guint i = 0; i < c->traces->len; i++) {
        const char *pattern = g_ptr_array_index(c->traces, i);
        bool on = pattern[0] != '-';

        if (!trace_enable(on ? pattern : pattern + 1, on)) {
            return gw_fail(errp, GW_ERROR_GENERIC,
                           "-trace %s: no such event (-trace help lists them)", pattern);
        }
    }
    return true;
}

static bool start_incoming(Process *p, GError **errp)
{
    const char *uri = p->config->incoming;
    g_autoptr(GwAddress) addr = NULL;

    if (!uri || !strcmp(uri, "defer")) {
        return true;
    }
    addr = gw_address_parse_uri(uri, errp);
    if (!addr || !gw_incoming_start(p->machine->migration, addr, true, errp)) {
        g_prefix_error(errp, "-incoming %s: ", uri);
        return false;
    }
    return true;
}

static bool start_process(Process *p, GError **errp)
{
    const MachineConfig *c = p->config;

    signal(SIGPIPE, SIG_IGN);
    if (c->daemonize) {
        p->daemon_fd = daemon_fork(errp);
        if (p->daemon_fd < 0) {
            return false;
        }
    }
    return (!c->exit_with_parent || exit_with_parent(errp)) && start_log(c, errp);
}

static bool start_machine(Process *p, GError **errp)
{
    const MachineConfig *c = p->config;

    p->machine = machine_new(c, errp);
    if (!p->machine) {
        return false;
    }
    machine_add_migration_listener(p->machine, &migration_listener, p);
    g_unix_signal_add(SIGTERM, on_sigterm, p);
    g_unix_signal_add(SIGINT, on_sigint, p);
    g_unix_signal_add(SIGHUP, on_sighup, p);
    if (!monitors_start(p->machine, errp)) {
        return false;
    }
    runstate_add_notify(p->machine->run_state, run_state_changed, p);
    if (!start_incoming(p, errp)) {
        return false;
    }
    if (c->pidfile) {
        p->pidfile_fd = pidfile_write(c->pidfile, errp);
        if (p->pidfile_fd < 0) {
            return false;
        }
    }
    if (!c->incoming && !c->start_paused && !runstate_start(p->machine->run_state, errp)) {
        return false;
    }
    return p->daemon_fd < 0 || daemon_ready(p->daemon_fd, errp);
}

/* ---- end ---- */

static void stop(Process *p)
{
    Machine *m = p->machine;

    if (m) {
        monitors_stop(m);
        for (guint i = 0; i < m->chardevs->len; i++) {
            chardev_flush(g_ptr_array_index(m->chardevs, i));
        }
        machine_free(m);
    }
    if (p->pidfile_fd >= 0) {
        unlink(p->config->pidfile);
        close(p->pidfile_fd);
    }
}

static int run(const MachineConfig *config)
{
    Process p = { .config = config, .daemon_fd = -1, .pidfile_fd = -1 };
    g_autoptr(GError) err = NULL;
    int code = 1;

    if (start_process(&p, &err) && start_machine(&p, &err)) {
        g_main_loop_run(p.machine->loop);
        code = p.machine->exit_code;
    } else {
        report_error("%s", err->message);
    }
    stop(&p);
    return code;
}

int main(int argc, char **argv)
{
    g_autoptr(MachineConfig) config = NULL;
    g_autoptr(GError) err = NULL;
    int exit_code = -1;

    machine_set_boards(hw_boards);
    config = cmdline_parse(argc, argv, &exit_code, &err);
    if (!config) {
        report_error("%s", err->message);
        return 1;
    }
    if (exit_code >= 0) {
        return fflush(stdout) == 0 ? exit_code : 1;
    }
    report_set_timestamp(config->msg_timestamp);
    return run(config);
}
