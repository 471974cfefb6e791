/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP: the monitor for people. A HmpMonitor is one client; hmp_run_line() runs one line for
 * human-monitor-command. Main loop's thread.
 */
#ifndef MONITOR_HMP_H
#define MONITOR_HMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

struct MonitorSet;
struct Machine;

/* ---- for monitor.c ---- */

typedef struct HmpMonitor HmpMonitor;
typedef void (*HmpWriteFn)(void *opaque, const char *buf, size_t len);

/* `terminal`: it is the process's own terminal (stdin, stdout): edit lines there. */
HmpMonitor *hmp_monitor_new(struct MonitorSet *set, HmpWriteFn write, void *opaque, bool terminal);
void hmp_monitor_free(HmpMonitor *mon);
void hmp_monitor_open(HmpMonitor *mon);
void hmp_monitor_close(HmpMonitor *mon);
void hmp_monitor_input(HmpMonitor *mon, const char *buf, size_t len);

/* Runs a line that came over QMP and returns what it prints (caller frees). *quit is set if the
 * line asked for the end of the process. */
char *hmp_run_line(struct MonitorSet *set, const char *line, unsigned cpu, bool *quit);

/* ---- for command files ---- */

typedef enum HmpArgKind {
    HMP_FLAG,   /* -x */
    HMP_STRING, /* a word or "quoted string" */
    HMP_REST,   /* what is left of the line */
    HMP_ON_OFF, /* on or off */
    HMP_NUMBER, /* an expression, 64 bits */
    HMP_FORMAT, /* /COUNTFORMATSIZE */
} HmpArgKind;

typedef struct HmpArgSpec {
    const char *name; /* a flag's is its letter; NULL ends the list */
    HmpArgKind kind;
    bool optional;    /* flags and formats always are */
} HmpArgSpec;

typedef struct HmpFormat {
    unsigned count;
    char format; /* x d u o c; 0: not given */
    char size;   /* b h w g; 0: not given */
} HmpFormat;

#define HMP_MAX_ARGS 4

/* One command being carried out. */
typedef struct HmpCall {
    struct MonitorSet *set;
    struct Machine *machine;
    GString *out;          /* what it prints, lines end in \n */
    unsigned cpu;          /* whose page tables x looks through */
    bool can_wait;         /* the client may be made to wait (hmp_call_wait) */
    bool quit;             /* set by the command */
    bool wait_migration;   /* set by the command: no prompt before the migration has ended */
    char *strings[HMP_MAX_ARGS]; /* by the spec's index; NULL: not given */
    uint64_t numbers[HMP_MAX_ARGS];
    bool flags[HMP_MAX_ARGS];    /* flags and on/off */
    HmpFormat fmt;
} HmpCall;

typedef struct HmpCommand {
    const char *name;   /* "stop|s" */
    const char *params; /* for help */
    const char *help;
    void (*fn)(HmpCall *call);
    HmpArgSpec args[HMP_MAX_ARGS + 1];
    /* Optional: words that may stand at argument `index`; calls add() for each. */
    void (*complete)(unsigned index, void (*add)(void *opaque, const char *word), void *opaque);
} HmpCommand;

/* Ended by name NULL. */
extern const HmpCommand hmp_commands[];
extern const HmpCommand hmp_info_commands[];

void hmp_printf(HmpCall *call, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* "Error: ..." if err is set. */
void hmp_error(HmpCall *call, const GError *err);

/* hmp-args.c: parses the arguments of `cmd` at *p into call; false with a text for the user in
 * *problem (caller frees). */
bool hmp_parse_args(HmpCall *call, const HmpCommand *cmd, const char *p, char **problem);
/* A word, or a string in double quotes with \n \r \\ \' \" inside; moves *p. NULL at the end of the
 * line or, with *problem, in a bad string. Caller frees. */
char *hmp_next_word(const char **p, char **problem);
/* Whether `typed` is one of the names in "stop|s". */
bool hmp_name_matches(const char *names, const char *typed);

/* hmp-migrate-watch.c */
typedef struct HmpWatch HmpWatch;
/* Shows how the migration goes, by write(), on a terminal several times a second; calls done() once
 * it has ended. */
HmpWatch *hmp_watch_new(struct MonitorSet *set, bool terminal, HmpWriteFn write, void *opaque,
                        void (*done)(void *opaque));
void hmp_watch_free(HmpWatch *w);

/* hmp-tty.c: line editing on a terminal. Takes its settings over until it is freed; input comes
 * through hmp_tty_input(), output goes through write(). NULL with *errp if it is no terminal. */
typedef struct HmpTty HmpTty;
HmpTty *hmp_tty_new(int fd_in, int fd_out, HmpWriteFn write,
                    void (*line)(void *opaque, const char *line), void *opaque, GError **errp);
void hmp_tty_free(HmpTty *t);
void hmp_tty_prompt(HmpTty *t);
void hmp_tty_input(HmpTty *t, const char *buf, size_t len);

/* hmp-complete.c: the words that may follow in `line`, sorted; the word to be completed begins at
 * *start. Caller frees. */
GPtrArray *hmp_complete(const char *line, size_t *start);

#endif
