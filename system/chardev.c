/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core of character devices: opening by backend name, watching the input, telling front ends.
 * Output is chardev-queue.c, several front ends on one device chardev-mux.c.
 *
 * Runs on the main loop's thread, apart from chardev_accept_input(). Locks: see chardev-priv.h.
 */
#include "chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev-priv.h"
#include "error.h"
#include "fd-table.h"

static const ChardevOps *const all_ops[] = {
    &chardev_null_ops, &chardev_file_ops, &chardev_stdio_ops,
    &chardev_pty_ops,  &chardev_pipe_ops, &chardev_socket_ops,
};

static const ChardevOps *find_ops(const char *backend)
{
    for (size_t i = 0; i < G_N_ELEMENTS(all_ops); i++) {
        if (!strcmp(all_ops[i]->backend, backend)) {
            return all_ops[i];
        }
    }
    return NULL;
}

static void copy_conf(ChardevConfig *to, const ChardevConfig *from)
{
    *to = *from;
    to->id = g_strdup(from->id);
    to->backend = g_strdup(from->backend);
    to->path = g_strdup(from->path);
    to->input_path = g_strdup(from->input_path);
    to->host = g_strdup(from->host);
    to->port = g_strdup(from->port);
    to->fd = g_strdup(from->fd);
    to->logfile = g_strdup(from->logfile);
}

static bool open_log(Chardev *c, struct FdTable *fds, GError **errp)
{
    if (c->conf.logfile) {
        int mode = c->conf.logappend ? O_APPEND : O_TRUNC;

        c->log_fd = fd_table_open(fds, c->conf.logfile, O_WRONLY | O_CREAT | mode, 0666, errp);
        return c->log_fd >= 0;
    }
    return true;
}

Chardev *chardev_new(const ChardevConfig *conf, struct FdTable *fds, GError **errp)
{
    const ChardevOps *ops = find_ops(conf->backend);
    Chardev *c;

    if (!ops) {
        gw_fail(errp, GW_ERROR_UNSUPPORTED, "chardev '%s': '%s' is not a valid char driver name",
                conf->id, conf->backend);
        return NULL;
    }
    c = g_new0(Chardev, 1);
    c->ops = ops;
    copy_conf(&c->conf, conf);
    c->id = c->conf.id;
    c->context = g_main_context_ref_thread_default();
    c->in_fd = c->out_fd = c->log_fd = -1;
    c->fds = g_array_new(FALSE, FALSE, sizeof(int));
    c->queue = g_byte_array_new();
    pthread_mutex_init(&c->lock, NULL);
    if (!open_log(c, fds, errp) || !ops->open(c, fds, errp)) {
        g_prefix_error(errp, "chardev '%s': ", c->id);
        chardev_free(c);
        return NULL;
    }
    return c;
}

static void drop_source(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_source_unref(*source);
        *source = NULL;
    }
}

static void drop_fds(Chardev *c)
{
    for (guint i = 0; i < c->fds->len; i++) {
        close(g_array_index(c->fds, int, i));
    }
    g_array_set_size(c->fds, 0);
}

void chardev_free(Chardev *c)
{
    if (!c) {
        return;
    }
    memset(c->frontends, 0, sizeof(c->frontends));
    drop_source(&c->in_source);
    pthread_mutex_lock(&c->lock);
    drop_source(&c->kick_source);
    chardev_queue_reset(c);
    pthread_mutex_unlock(&c->lock);
    if (c->ops->close) {
        c->ops->close(c);
    }
    drop_fds(c);
    g_array_unref(c->fds);
    g_byte_array_unref(c->queue);
    if (c->log_fd >= 0) {
        close(c->log_fd);
    }
    pthread_mutex_destroy(&c->lock);
    g_main_context_unref(c->context);
    g_free(c->conf.id);
    g_free(c->conf.backend);
    g_free(c->conf.path);
    g_free(c->conf.input_path);
    g_free(c->conf.host);
    g_free(c->conf.port);
    g_free(c->conf.fd);
    g_free(c->conf.logfile);
    g_free(c);
}

/* ---- front ends ---- */

void chardev_set_handlers(Chardev *c, const ChardevHandlers *h, void *opaque)
{
    ChardevFrontend *f = &c->frontends[0];

    for (unsigned i = 0; i < c->nr_frontends; i++) {
        if (c->frontends[i].opaque == opaque) {
            f = &c->frontends[i];
        }
    }
    if (!h) {
        memset(f, 0, sizeof(*f));
        chardev_update_input(c);
        return;
    }
    if (c->conf.mux && f->in_use && f->opaque != opaque &&
        c->nr_frontends < CHARDEV_MAX_FRONTENDS) {
        f = &c->frontends[c->nr_frontends];
    }
    *f = (ChardevFrontend){ .handlers = *h, .opaque = opaque, .in_use = true };
    c->nr_frontends = MAX(c->nr_frontends, (unsigned)(f - c->frontends) + 1);
    if (chardev_focus(c) == f) {
        chardev_tell_open(c, f);
    }
    chardev_update_input(c);
}

static size_t can_read(Chardev *c)
{
    ChardevFrontend *f = chardev_focus(c);

    if (!f || !f->handlers.read) {
        return 0;
    }
    return f->handlers.can_read ? f->handlers.can_read(f->opaque) : CHARDEV_READ_SIZE;
}

static void deliver(Chardev *c, const uint8_t *buf, size_t len)
{
    ChardevFrontend *f = chardev_focus(c);

    if (c->conf.mux) {
        chardev_mux_input(c, buf, len);
    } else if (f && f->handlers.read) {
        f->handlers.read(f->opaque, buf, len);
    }
}

static gboolean input_ready(gint fd, GIOCondition cond, gpointer opaque)
{
    Chardev *c = opaque;
    uint8_t buf[CHARDEV_READ_SIZE];
    size_t room = MIN(can_read(c), sizeof(buf));
    ssize_t n;

    if (!room) {
        chardev_update_input(c);
        return G_SOURCE_REMOVE;
    }
    n = c->ops->read ? c->ops->read(c, buf, room) : read(fd, buf, room);
    if (n > 0) {
        deliver(c, buf, (size_t)n);
        return G_SOURCE_CONTINUE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (c->ops->hangup) {
        chardev_detach(c);
        c->ops->hangup(c);
    } else {
        /* The end of a file or terminal: output goes on. */
        drop_source(&c->in_source);
        c->in_fd = -1;
    }
    return G_SOURCE_REMOVE;
}

void chardev_update_input(Chardev *c)
{
    bool want = c->in_fd >= 0 && can_read(c) > 0;

    if (want == (c->in_source != NULL)) {
        return;
    }
    if (!want) {
        drop_source(&c->in_source);
        return;
    }
    c->in_source = g_unix_fd_source_new(c->in_fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(c->in_source, G_SOURCE_FUNC(input_ready), c, NULL);
    g_source_attach(c->in_source, c->context);
}

static gboolean kicked(gpointer opaque)
{
    Chardev *c = opaque;

    pthread_mutex_lock(&c->lock);
    drop_source(&c->kick_source);
    pthread_mutex_unlock(&c->lock);
    chardev_update_input(c);
    return G_SOURCE_REMOVE;
}

void chardev_accept_input(Chardev *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->kick_source) {
        c->kick_source = g_idle_source_new();
        g_source_set_priority(c->kick_source, G_PRIORITY_DEFAULT);
        g_source_set_callback(c->kick_source, kicked, c, NULL);
        g_source_attach(c->kick_source, c->context);
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- connection ---- */

void chardev_attach(Chardev *c, int in_fd, int out_fd)
{
    ChardevFrontend *f;

    c->in_fd = in_fd;
    pthread_mutex_lock(&c->lock);
    c->out_fd = out_fd;
    c->open = true;
    pthread_mutex_unlock(&c->lock);
    f = chardev_focus(c);
    if (f) {
        chardev_tell_open(c, f);
    }
    chardev_update_input(c);
}

void chardev_detach(Chardev *c)
{
    drop_source(&c->in_source);
    c->in_fd = -1;
    pthread_mutex_lock(&c->lock);
    c->open = false;
    c->out_fd = -1;
    chardev_queue_reset(c);
    pthread_mutex_unlock(&c->lock);
    drop_fds(c);
    c->mux_escape = false;
    for (unsigned i = 0; i < c->nr_frontends; i++) {
        ChardevFrontend *f = &c->frontends[i];

        if (f->in_use && f->saw_open) {
            f->saw_open = false;
            if (f->handlers.event) {
                f->handlers.event(f->opaque, CHARDEV_CLOSED);
            }
        }
    }
}

int chardev_take_fd(Chardev *c)
{
    int fd = -1;

    if (c->fds->len) {
        fd = g_array_index(c->fds, int, 0);
        g_array_remove_index(c->fds, 0);
    }
    return fd;
}

const char *chardev_id(const Chardev *c)
{
    return c->id;
}

char *chardev_describe(const Chardev *c)
{
    return c->ops->describe ? c->ops->describe(c) : g_strdup(c->ops->backend);
}

bool chardev_is_open(const Chardev *c)
{
    bool open;

    pthread_mutex_lock((pthread_mutex_t *)&c->lock);
    open = c->open;
    pthread_mutex_unlock((pthread_mutex_t *)&c->lock);
    return open;
}

bool chardev_is_tty(const Chardev *c)
{
    return c->in_fd >= 0 && isatty(c->in_fd);
}
