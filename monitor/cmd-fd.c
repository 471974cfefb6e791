/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands about descriptors that clients hand over. Main loop's thread. */
#include "qmp-handlers.h"

#include <unistd.h>

#include "error.h"
#include "fd-table.h"
#include "machine.h"
#include "qmp.h"

/* The descriptor that came with the command; -1 with *errp. */
static int take_fd(QmpCall *call, GError **errp)
{
    int fd = call->session->sink->take_fd(call->session->opaque);

    if (fd < 0) {
        gw_fail(errp, GW_ERROR_GENERIC, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

bool qmp_getfd(QmpCall *call, GError **errp)
{
    const char *name = qmp_arg_str(call, "fdname");
    int fd = take_fd(call, errp);

    if (fd < 0) {
        return false;
    }
    if (g_ascii_isdigit(name[0])) {
        close(fd);
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Parameter 'fdname' expects a name not starting with a digit");
    }
    return fd_table_put(call->machine->fds, name, fd, errp);
}

bool qmp_closefd(QmpCall *call, GError **errp)
{
    return fd_table_close(call->machine->fds, qmp_arg_str(call, "fdname"), errp);
}

bool qmp_add_fd(QmpCall *call, GError **errp)
{
    const int64_t set = qmp_arg_int(call, "fdset-id", -1);
    int fd = take_fd(call, errp), id;

    if (fd < 0) {
        return false;
    }
    if (jo_get(call->args, "fdset-id") && (set < 0 || set > G_MAXINT)) {
        close(fd);
        return gw_fail(errp, GW_ERROR_GENERIC,
                       "Parameter 'fdset-id' expects a non-negative value");
    }
    id = fd_table_set_add(call->machine->fds, (int)set, fd, qmp_arg_str(call, "opaque"), errp);
    if (id < 0) {
        return false;
    }
    call->ret = jo_new();
    jo_int(call->ret, "fdset-id", id);
    jo_int(call->ret, "fd", fd);
    return true;
}

bool qmp_remove_fd(QmpCall *call, GError **errp)
{
    const int64_t set = qmp_arg_int(call, "fdset-id", -1), fd = qmp_arg_int(call, "fd", -1);
    const bool has_fd = jo_get(call->args, "fd");

    /* Numbers that no descriptor can have must not wrap into one that does. */
    if (set < 0 || set > G_MAXINT || (has_fd && (fd < 0 || fd > G_MAXINT))) {
        g_autofree char *which = has_fd ? g_strdup_printf(", fd:%" G_GINT64_FORMAT, fd)
                                        : g_strdup("");

        return gw_fail(errp, GW_ERROR_GENERIC,
                       "File descriptor named 'fdset-id:%" G_GINT64_FORMAT "%s' not found", set,
                       which);
    }
    return fd_table_set_remove(call->machine->fds, (int)set, (int)fd, errp);
}

typedef struct Listing {
    json_object *sets, *fds;
    int set;
} Listing;

static void list_fd(int set, const FdSetFd *fd, void *opaque)
{
    Listing *l = opaque;
    json_object *o;

    if (!l->fds || l->set != set) {
        o = jo_new();
        l->fds = jo_array();
        l->set = set;
        json_object_object_add(o, "fds", l->fds);
        jo_int(o, "fdset-id", set);
        json_object_array_add(l->sets, o);
    }
    o = jo_new();
    jo_int(o, "fd", fd->fd);
    if (fd->opaque) {
        jo_str(o, "opaque", fd->opaque);
    }
    json_object_array_add(l->fds, o);
}

bool qmp_query_fdsets(QmpCall *call, GError **errp)
{
    Listing l = {.sets = jo_array()};

    fd_table_sets_foreach(call->machine->fds, list_fd, &l);
    call->ret = l.sets;
    return true;
}
