/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the guest and the data they share. `struct work` is one vCPU's: nobody else writes
 * it. `options`, `memory` and the clock's factors are set by the first vCPU before it starts the
 * others and constant afterwards. The serial port has a lock of its own.
 */
#ifndef GUEST_H
#define GUEST_H

#include "cpu.h"
#include "layout.h"

#define PAGE_SIZE 4096
#define PAGE_WORDS (PAGE_SIZE / 8)
#define HISTOGRAM 24 /* powers of two of microseconds */

enum pattern { IDLE, SEQ, REVERSE, RANDOM, STRIDE, STREAM, DIRTY };

/* The words of the command line; defaults in options.c. */
struct options {
    enum pattern pattern;
    uint64_t mem;         /* MiB under test */
    uint64_t skip;        /* MiB of RAM left alone before it, to reach memory above 4 GiB */
    uint64_t rate;        /* MB/s of pages touched, all vCPUs together; 0: as fast as it goes */
    uint64_t stride;      /* pages */
    uint64_t seed;
    uint64_t zero;        /* percent of pages that are zero (random: 0, mixed: 50, zero: 100) */
    uint64_t working_set; /* percent of each slice that the pattern touches */
    uint64_t write;       /* percent of operations that write */
    uint64_t cpus;
    uint64_t sweep;       /* seconds between complete verifications; 0: only when asked */
    uint64_t report;      /* milliseconds between reports; 0: none */
    uint64_t beat;        /* microseconds between dots on the serial line; 0: none */
    uint64_t disk;        /* requests in flight on each virtio-blk disk; 0: leave them alone */
    uint64_t tsc_khz;     /* 0: find out */
    uint64_t net;         /* 1: echo frames through virtio-net */
    uint64_t net_pairs;   /* queue pairs to use */
    uint64_t rng;         /* 1: take random bytes from virtio-rng, by interrupts */
    uint64_t attach;      /* 1: bring disks and cards up and leave them alone */
    uint64_t free;        /* MiB behind the memory under test that nobody uses: balloon.c */
    bool wait_halt;       /* paced patterns halt between bursts (first vCPU), else they spin */
};
extern struct options options;
void options_parse(const char *line);
const char *options_pattern_name(void);

/* The memory under test, as one row of pages over all RAM areas. */
struct memory {
    uint64_t pages, free_pages; /* the latter follow, and are under no test */
    uint32_t *generation; /* of each page; lives at the start of the test memory */
    uint64_t map_entries;
};
extern struct memory memory;
bool memory_setup(void);
uint64_t *memory_page(uint64_t index);

/* What a page must contain, given its number and its generation. */
enum wrong { RIGHT, WRONG_ZERO, WRONG_STALE, WRONG_NEWER, WRONG_PLACE, WRONG_TORN, WRONG_OTHER };
void page_fill(uint64_t index, uint32_t generation);
enum wrong page_verify(uint64_t index, uint32_t generation);
bool page_is_zero_kind(uint64_t index);

struct work {
    uint32_t cpu;
    uint64_t first, pages; /* the slice */
    uint64_t active;       /* pages of the slice that the pattern touches */
    uint64_t position, random;
    uint64_t operations, writes, verified;
    uint64_t wrong, first_wrong;
    enum wrong first_kind;
    uint64_t generations; /* written so far: the sum of the slice's generations */
    /* clock */
    uint64_t last, worst, worst_ever, backwards; /* TSC ticks */
    uint64_t histogram[HISTOGRAM];
    uint64_t next_report, next_beat, next_operation, sequence;
    /* sweep */
    bool sweeping;
    uint64_t sweeps, sweep_at, sweep_wrong, sweep_sum, sweep_expected, next_sweep;
} __attribute__((aligned(4096)));
extern struct work works[MAX_CPUS];

/* clock.c; times are TSC ticks unless the name says more */
void clock_setup(void);
uint64_t clock_now(struct work *w);
uint64_t clock_from_us(uint64_t us);
uint64_t clock_to_us(uint64_t ticks);
uint64_t clock_to_ns(uint64_t ticks);
uint64_t clock_tsc_khz(void);
uint64_t clock_paravirtual_ns(void);
void clock_halt(uint64_t us);

/* felt.c; times are TSC ticks. The layout is read from outside: bench/. */
#define FELT_BUCKETS 256
struct felt_histogram {
    uint64_t count[FELT_BUCKETS], ticks[FELT_BUCKETS];
};
struct felt {
    struct felt_histogram touches, gaps;
} __attribute__((aligned(4096)));
uint64_t felt_address(void);
void felt_gap(uint32_t cpu, uint64_t ticks);
void felt_touch(uint32_t cpu, const void *memory);

/* serial.c */
void serial_setup(void);
void serial_write(struct work *w, const char *text, size_t length);
void serial_poll(void);
extern volatile uint32_t serial_sweeps_asked;

/* report.c */
void report_hello(struct work *w);
void report_now(struct work *w);
void report_sweep(struct work *w, bool begin);

/* sweep.c */
void sweep_maybe_begin(struct work *w, uint64_t now);
void sweep_step(struct work *w, unsigned pages);
void check_page(struct work *w, uint64_t index);

/* disk.c; the first vCPU only */
struct disk_counters {
    uint64_t disks, queues, operations, writes, verified, wrong, first, errors, strange, stuck;
    uint64_t late, interrupts; /* late: the type of the last request that was stuck */
    char id[21];
};
extern struct disk_counters disk;
void disk_setup(struct work *w);
void disk_step(struct work *w);
uint64_t disk_passes(void); /* of the slowest disk */
uint64_t disk_table_address(void);
void report_disk(struct work *w);
/* net.c; the first vCPU only */
struct net_counters {
    uint64_t pairs, configured, sent, again, echoed, late, wrong, strange, bytes, announced;
    uint64_t link, interrupts, by_pair[2];
};
extern struct net_counters net;
void net_setup(struct work *w);
void net_step(struct work *w);
void net_housekeeping(struct work *w);
void report_net(struct work *w);

/* rng.c; the first vCPU only */
struct rng_counters {
    uint64_t gsi, requests, answered, interrupts, empty, lost, wrong;
};
extern struct rng_counters rng;
void rng_setup(struct work *w);
void rng_step(struct work *w);
void report_rng(struct work *w);

/* attach.c */
extern uint64_t attached; /* devices */
void attach_setup(void);

/* balloon.c; the first vCPU only */
struct balloon_counters {
    uint64_t hinting, asked, hinted, done, used, verified, wrong, stats;
};
extern struct balloon_counters balloon;
void balloon_setup(struct work *w);
void balloon_step(struct work *w);
void balloon_housekeeping(struct work *w);
void report_balloon(struct work *w);

/* smp.c, work.c */
void interrupts_setup(void);
void smp_start(void);
void work_setup(struct work *w, uint32_t cpu, uint32_t cpus);
void work_run(struct work *w);

#endif
