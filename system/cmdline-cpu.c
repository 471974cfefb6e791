/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -cpu and -smp: the model of the vCPUs, and how many there are.
 * Main thread only, before the machine exists.
 */
#include <string.h>

#include "cmdline.h"
#include "error.h"
#include "machine.h"

static const char *const cpu_models[] = { "host", "max", "qemu64", "kvm64", "base" };

static const char *const smp_keys[] = { "cpus", "sockets", "dies", "cores", "threads" };
enum { SMP_CPUS, SMP_SOCKETS, SMP_DIES, SMP_CORES, SMP_THREADS };

bool cmdline_cpu(Cmdline *cl, const char *arg, GError **errp)
{
    g_autofree char *model = g_strndup(arg, strcspn(arg, ","));
    const char *near;

    if (cmdline_wants_help(arg)) {
        printf("Available CPUs:\n");
        for (size_t i = 0; i < G_N_ELEMENTS(cpu_models); i++) {
            printf("x86 %s\n", cpu_models[i]);
        }
        cl->exit_code = 0;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cpu_models); i++) {
        if (!strcmp(model, cpu_models[i])) {
            g_free(cl->config->cpu_model);
            cl->config->cpu_model = g_strdup(arg);
            return true;
        }
    }
    near = cmdline_nearest(model, cpu_models, G_N_ELEMENTS(cpu_models));
    return gw_fail(errp, GW_ERROR_UNSUPPORTED, "unable to find CPU model '%s' (nearest: %s)",
                   model, near ? near : "host");
}

bool cmdline_smp(Cmdline *cl, const char *arg, GError **errp)
{
    g_autoptr(KeyValList) kv = keyval_parse(arg, "cpus", errp);

    if (!kv) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(smp_keys); i++) {
        bool given = keyval_has(kv, smp_keys[i]);

        cl->smp[i] = keyval_u64(kv, smp_keys[i], 0, 65535);
        if (given && !cl->smp[i]) {
            keyval_error(kv, "Parameter '%s' must be greater than zero", smp_keys[i]);
        }
    }
    cl->smp_maxcpus = keyval_u64(kv, "maxcpus", 0, 65535);
    if (keyval_u64(kv, "clusters", 1, 65535) != 1) {
        keyval_error(kv, "clusters not supported by this machine's CPU topology (use cores=)");
    }
    return keyval_done(kv, errp);
}

static const BoardOps *board_of(const Cmdline *cl)
{
    const BoardOps *const *boards = machine_boards();

    while (strcmp((*boards)->name, cl->config->machine_type)) {
        boards++;
    }
    return *boards;
}

bool cmdline_smp_finish(Cmdline *cl, GError **errp)
{
    const BoardOps *board = board_of(cl);
    uint64_t cpus = cl->smp[SMP_CPUS], max = cl->smp_maxcpus, product = 1, limit;
    bool topology = false, all = true;

    for (int i = SMP_SOCKETS; i <= SMP_THREADS; i++) {
        product *= cl->smp[i] ? cl->smp[i] : 1;
        topology |= cl->smp[i] != 0;
        all &= cl->smp[i] != 0 || i == SMP_DIES;
    }
    if (!cpus) {
        cpus = max ? max : product;
    }
    max = max ? max : cpus;
    if (max != cpus) {
        return gw_fail(errp, GW_ERROR_UNSUPPORTED, "-smp: maxcpus (%" G_GUINT64_FORMAT ") differs "
                       "from cpus (%" G_GUINT64_FORMAT "): there is no CPU hot-plug, give both "
                       "the same value", max, cpus);
    }
    if (topology && (all ? product != max : max % product != 0)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-smp: Invalid CPU topology: product of the "
                       "hierarchy must match maxcpus: sockets * dies * cores * threads "
                       "(%" G_GUINT64_FORMAT ") != maxcpus (%" G_GUINT64_FORMAT ")", product, max);
    }
    limit = MAX(board->max_cpus, 1);
    if (cpus > limit || cpus > MACHINE_MAX_CPUS) {
        return gw_fail(errp, GW_ERROR_GENERIC, "-smp: Invalid SMP CPUs %" G_GUINT64_FORMAT
                       ". The max CPUs supported by machine '%s' is %" G_GUINT64_FORMAT, cpus,
                       board->name, MIN(limit, MACHINE_MAX_CPUS));
    }
    cl->config->smp = (unsigned)cpus;
    return true;
}
