/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Name resolution. Numeric hosts are resolved by the caller's thread at once. Names may take a name
 * server's time-outs, which getaddrinfo() cannot be called back from, so a thread of its own looks
 * them up; a cancelled caller leaves it behind and the last of the two frees the job.
 * `refs` is atomic; `result` and `error` are handed over by the eventfd in `done`.
 */
#include "resolve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "error.h"
#include "io-poll.h"

typedef struct ResolveJob {
    char *host, *port;
    struct addrinfo hints;
    struct addrinfo *result;
    int error;      /* EAI_ */
    int sys_errno;  /* with EAI_SYSTEM */
    GwCancel *done; /* triggered by the thread when result and error are there */
    int refs;
} ResolveJob;

static void job_unref(ResolveJob *job)
{
    if (__atomic_sub_fetch(&job->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    if (job->result) {
        freeaddrinfo(job->result);
    }
    gw_cancel_free(job->done);
    g_free(job->host);
    g_free(job->port);
    g_free(job);
}

static void job_lookup(ResolveJob *job)
{
    job->error = getaddrinfo(job->host, job->port, &job->hints, &job->result);
    job->sys_errno = errno;
}

static void *job_thread(void *opaque)
{
    ResolveJob *job = opaque;

    job_lookup(job);
    gw_cancel_trigger(job->done);
    job_unref(job);
    return NULL;
}

/* Waits for the job's thread or for the cancel; false means cancelled. */
static bool job_wait(ResolveJob *job, const GwCancel *cancel)
{
    while (!gw_cancel_is_triggered(job->done)) {
        if (io_poll(gw_cancel_fd(job->done), POLLIN, cancel, -1) == IO_POLL_WOKEN) {
            return false;
        }
    }
    return true;
}

static bool job_lookup_name(ResolveJob *job, const GwCancel *cancel, GError **errp)
{
    pthread_t thread;

    if (gw_cancel_fd(job->done) < 0) {
        job_lookup(job);
        return true;
    }
    job->refs++;
    if (pthread_create(&thread, NULL, job_thread, job) != 0) {
        job->refs--;
        job_lookup(job);
        return true;
    }
    pthread_detach(thread);
    return job_wait(job, cancel) ||
           gw_fail(errp, GW_ERROR_CANCELLED, "address resolution of '%s' was cancelled", job->host);
}

static bool check_port(const char *port, GError **errp)
{
    guint64 value;

    if (!port || *port == '\0') {
        return gw_fail(errp, GW_ERROR_GENERIC, "tcp: the port is missing");
    }
    /* getaddrinfo() would cut a larger number down to 16 bits. */
    if (strspn(port, "0123456789") == strlen(port) &&
        !g_ascii_string_to_unsigned(port, 10, 0, UINT16_MAX, &value, NULL)) {
        return gw_fail(errp, GW_ERROR_GENERIC, "port '%s' is not in 0..65535", port);
    }
    return true;
}

static ResolveJob *job_new(const GwAddress *addr, bool passive)
{
    ResolveJob *job = g_new0(ResolveJob, 1);

    job->host = addr->host && *addr->host ? g_strdup(addr->host) : NULL;
    job->port = g_strdup(addr->port);
    job->hints.ai_socktype = SOCK_STREAM;
    job->hints.ai_family = addr->family == 4   ? AF_INET
                           : addr->family == 6 ? AF_INET6
                                               : AF_UNSPEC;
    job->hints.ai_flags = AI_NUMERICHOST | (passive ? AI_PASSIVE : 0);
    job->done = gw_cancel_new();
    job->refs = 1;
    return job;
}

struct addrinfo *gw_resolve(const GwAddress *addr, bool passive, const GwCancel *cancel,
                            GError **errp)
{
    struct addrinfo *result;
    ResolveJob *job;

    if (!check_port(addr->port, errp)) {
        return NULL;
    }
    job = job_new(addr, passive);
    job_lookup(job);
    if (job->error == EAI_NONAME && job->host) {
        job->hints.ai_flags &= ~AI_NUMERICHOST;
        if (!job_lookup_name(job, cancel, errp)) {
            job_unref(job);
            return NULL;
        }
    }
    if (job->error) {
        gw_fail(errp, GW_ERROR_IO, "address resolution failed for %s:%s: %s",
                job->host ? job->host : "", job->port,
                job->error == EAI_SYSTEM ? g_strerror(job->sys_errno) : gai_strerror(job->error));
    }
    result = g_steal_pointer(&job->result);
    job_unref(job);
    return result;
}
