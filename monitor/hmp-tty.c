/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Line editing, history and completion of the human monitor on a terminal, by libedit. Keys come
 * through hmp_tty_input() from the chardev, not from the descriptor, and the screen is written
 * through the chardev; libedit gets the descriptors for the terminal's settings and size only.
 * Everything hangs off one EditLine: there is no state beside it. Main loop's thread.
 */
#include "hmp.h"

#include <errno.h>
#include <histedit.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "error.h"

struct HmpTty {
    EditLine *el;
    History *history;
    FILE *in, *out;
    HmpWriteFn write;
    void (*line)(void *opaque, const char *line);
    void *opaque;
    GByteArray *keys; /* not yet taken by libedit */
    bool editing;     /* a prompt is on the screen */
};

static ssize_t out_write(void *cookie, const char *buf, size_t len)
{
    HmpTty *t = cookie;

    t->write(t->opaque, buf, len);
    return (ssize_t)len;
}

static char *get_prompt(EditLine *el)
{
    static char text[] = "(qemu) ";

    return text;
}

/* libedit's way to a key: 1 and a character, or 0 when there is none. */
static int get_key(EditLine *el, wchar_t *c)
{
    mbstate_t state = {0};
    HmpTty *t;
    size_t n;

    el_get(el, EL_CLIENTDATA, &t);
    if (t->keys->len == 0) {
        return 0;
    }
    n = mbrtowc(c, (const char *)t->keys->data, t->keys->len, &state);
    if (n == 0 || n > t->keys->len) {
        *c = t->keys->data[0]; /* not a character of this locale: take the byte */
        n = 1;
    }
    g_byte_array_remove_range(t->keys, 0, (guint)n);
    return 1;
}

/* Whether the keys begin with an escape sequence that has not come completely. */
static bool sequence_is_open(const GByteArray *keys)
{
    guint i = 2;

    if (keys->len == 0 || keys->data[0] != 0x1b) {
        return false;
    }
    if (keys->len < 2 || (keys->data[1] == 'O' && keys->len < 3)) {
        return true;
    }
    if (keys->data[1] != '[') {
        return false;
    }
    while (i < keys->len && (g_ascii_isdigit(keys->data[i]) || keys->data[i] == ';')) {
        i++;
    }
    return i == keys->len && i < 16;
}

static void list_words(HmpTty *t, const GPtrArray *words)
{
    g_autoptr(GString) s = g_string_new("\r\n");

    for (guint i = 0; i < words->len; i++) {
        g_string_append_printf(s, "%s\r\n", (const char *)g_ptr_array_index(words, i));
    }
    t->write(t->opaque, s->str, s->len);
}

static size_t common_length(const GPtrArray *words)
{
    const char *first = g_ptr_array_index(words, 0);
    size_t len = strlen(first);

    for (guint i = 1; i < words->len; i++) {
        const char *w = g_ptr_array_index(words, i);
        size_t n = 0;

        while (n < len && w[n] == first[n]) {
            n++;
        }
        len = n;
    }
    return len;
}

static unsigned char complete(EditLine *el, int ch)
{
    const LineInfo *li = el_line(el);
    g_autofree char *line = g_strndup(li->buffer, li->cursor - li->buffer);
    g_autofree char *more = NULL;
    g_autoptr(GPtrArray) words = NULL;
    size_t start, have, common;
    HmpTty *t;

    el_get(el, EL_CLIENTDATA, &t);
    words = hmp_complete(line, &start);
    if (words->len == 0) {
        return CC_REFRESH_BEEP;
    }
    have = strlen(line) - start;
    common = common_length(words);
    if (words->len > 1 && common == have) {
        list_words(t, words);
        return CC_REDISPLAY;
    }
    more = g_strdup_printf("%.*s%s", (int)(common - have),
                           (const char *)g_ptr_array_index(words, 0) + have,
                           words->len == 1 ? " " : "");
    el_insertstr(el, more);
    return CC_REFRESH;
}

static void configure(HmpTty *t)
{
    HistEvent ev;

    el_set(t->el, EL_CLIENTDATA, t);
    el_set(t->el, EL_EDITOR, "emacs");
    el_set(t->el, EL_SIGNAL, 0);
    el_set(t->el, EL_PROMPT, get_prompt);
    el_set(t->el, EL_GETCFN, get_key);
    el_set(t->el, EL_ADDFN, "ed-complete", "completes a word", complete);
    el_set(t->el, EL_BIND, "^I", "ed-complete", NULL);
    el_set(t->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    history(t->history, &ev, H_SETSIZE, 200);
    history(t->history, &ev, H_SETUNIQUE, 1);
    el_set(t->el, EL_HIST, history, t->history);
}

HmpTty *hmp_tty_new(int fd_in, int fd_out, HmpWriteFn write,
                    void (*line)(void *opaque, const char *line), void *opaque, GError **errp)
{
    const cookie_io_functions_t io = {.write = out_write};
    HmpTty *t;

    if (!isatty(fd_in) || !isatty(fd_out)) {
        gw_fail(errp, GW_ERROR_UNSUPPORTED, "input or output is no terminal");
        return NULL;
    }
    t = g_new0(HmpTty, 1);
    t->write = write;
    t->line = line;
    t->opaque = opaque;
    t->keys = g_byte_array_new();
    t->in = fopen("/dev/null", "re");
    t->out = fopencookie(t, "w", io);
    setvbuf(t->out, NULL, _IOFBF, 4096);
    t->el = t->in ? el_init_fd("godwit", t->in, t->out, t->out, fd_in, fd_out, fd_out) : NULL;
    t->history = history_init();
    if (!t->el || !t->history) {
        hmp_tty_free(t);
        gw_fail(errp, GW_ERROR_UNSUPPORTED, "libedit does not know this terminal");
        return NULL;
    }
    configure(t);
    return t;
}

void hmp_tty_free(HmpTty *t)
{
    if (t->el) {
        el_set(t->el, EL_UNBUFFERED, 0);
        el_end(t->el);
    }
    if (t->history) {
        history_end(t->history);
    }
    g_clear_pointer(&t->in, fclose);
    g_clear_pointer(&t->out, fclose);
    g_byte_array_unref(t->keys);
    g_free(t);
}

void hmp_tty_prompt(HmpTty *t)
{
    if (!t->editing) {
        t->editing = true;
        el_set(t->el, EL_UNBUFFERED, 0);
        el_set(t->el, EL_UNBUFFERED, 1);
        fflush(t->out);
    }
}

/* One key; true if it ended the line, which is in *line then (caller frees). */
static bool one_key(HmpTty *t, char **line)
{
    int count = 0;
    const char *text = el_gets(t->el, &count);

    fflush(t->out);
    if (!text || count <= 0 || text[count - 1] != '\n') {
        return false;
    }
    *line = g_strndup(text, count - 1);
    return true;
}

void hmp_tty_input(HmpTty *t, const char *buf, size_t len)
{
    g_byte_array_append(t->keys, (const guint8 *)buf, (guint)len);
    while (t->editing && t->keys->len > 0 && !sequence_is_open(t->keys)) {
        g_autofree char *line = NULL;
        HistEvent ev;

        if (one_key(t, &line)) {
            if (*line) {
                history(t->history, &ev, H_ENTER, line);
            }
            t->editing = false;
            t->line(t->opaque, line);
        }
    }
}
