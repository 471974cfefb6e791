/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast guest pages go on the wire and into memory: the RAM section alone, both ends of it, in
 * two processes over loopback TCP. Prints GB/s of guest memory and CPU seconds per GB at each end.
 *
 *     page-stream [-s MIB] [-r ROUNDS] [-k random|zero|untouched|mixed|all] [-b SOCKET_BUFFER] [-c]
 *
 * -c compares the memories afterwards, by checksum. Uses the engine's private rooms; one thread per
 * process.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel-socket.h"
#include "ram-load.h"
#include "ram-save.h"

#define PART_BYTES (16 * 1024 * 1024) /* as the migration thread has it */

typedef struct Options {
    uint64_t mib;
    unsigned rounds;
    const char *kind;
    int buffer;
    bool check;
} Options;

typedef struct Result {
    double seconds, cpu;
    uint64_t wire, sum;
    uint64_t direct_reads, misses, copied_back;
} Result;

static int64_t now_ns(void *opaque)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage ru;

    getrusage(RUSAGE_SELF, &ru);
    return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
           (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

G_NORETURN static void die(const char *what, const GError *err)
{
    fprintf(stderr, "page-stream: %s: %s\n", what, err ? err->message : g_strerror(errno));
    exit(1);
}

static MigrationState *new_state(const Options *o)
{
    MigrationState *ms = g_new0(MigrationState, 1);
    RAMBlockInfo info = {
        .idstr = "bench.ram",
        .used_length = o->mib << 20,
        .max_length = o->mib << 20,
        .page_size = GW_TARGET_PAGE_SIZE,
        .fd = -1,
    };

    ms->clock.now_ns = now_ns;
    option_values_init(&ms->options);
    info.host = mmap(NULL, info.max_length, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (info.host == MAP_FAILED || !gw_ram_block_add(ms, &info, NULL)) {
        die("memory", NULL);
    }
    return ms;
}

/* random: no zero page. zero: touched, but zeros. mixed: every fourth 64 KiB is random, every other
 * fourth touched, the rest untouched. */
static void fill(const Options *o, const char *kind, uint8_t *mem)
{
    uint64_t x = 88172645463325252ULL;
    const uint64_t piece = 64 * 1024;

    madvise(mem, o->mib << 20, MADV_HUGEPAGE);
    for (uint64_t at = 0; at < o->mib << 20; at += piece) {
        const unsigned k = (unsigned)(at / piece % 4);

        if (strcmp(kind, "untouched") == 0 || (strcmp(kind, "mixed") == 0 && k > 1)) {
            continue;
        }
        if (strcmp(kind, "zero") == 0 || (strcmp(kind, "mixed") == 0 && k == 1)) {
            memset(mem + at, 0, piece);
            continue;
        }
        for (uint64_t *p = (uint64_t *)(mem + at); p < (uint64_t *)(mem + at + piece); p++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            *p = x;
        }
    }
}

static uint64_t checksum(const Options *o, const uint8_t *mem)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; o->check && i < (o->mib << 20) / 8; i++) {
        sum = sum * 31 + ((const uint64_t *)mem)[i];
    }
    return sum;
}

static void tune(const Options *o, int fd)
{
    if (o->buffer) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &o->buffer, sizeof(o->buffer));
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &o->buffer, sizeof(o->buffer));
    }
}

static void receive(const Options *o, int listen_fd, Result *res)
{
    MigrationState *ms = new_state(o);
    GError *err = NULL;
    int fd = accept(listen_fd, NULL, NULL);
    StreamReader *r;
    double cpu, start;
    uint8_t end;

    tune(o, fd);
    r = stream_reader_new(gw_channel_socket_new(fd, 0));
    cpu = cpu_seconds();
    start = (double)now_ns(NULL);
    if (!ram_load_setup(ms, &err)) {
        die("load", err);
    }
    /* A byte 1 before each body, 0 at the end. */
    for (;;) {
        if (!stream_get_u8(r, &end, &err)) {
            die("load", err);
        }
        if (!end) {
            break;
        }
        if (!ram_load_state(ms, r, RAM_SECTION_VERSION, &err)) {
            die("load", err);
        }
    }
    res->seconds = ((double)now_ns(NULL) - start) / 1e9;
    res->cpu = cpu_seconds() - cpu;
    res->wire = stream_consumed(r);
    res->direct_reads = ms->ram_load->direct_reads;
    res->misses = ms->ram_load->misses;
    res->copied_back = ms->ram_load->copied_back;
    if (write(fd, "", 1) != 1) {
        die("answer", NULL);
    }
    res->sum = checksum(o, ram_block_at(ms, 0)->info.host);
}

static void transmit(const Options *o, int port, MigrationState *ms, Result *res)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    GError *err = NULL;
    StreamWriter *w;
    bool done = false;
    double cpu, start;
    char answer;

    tune(o, fd);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
        die("connect", NULL);
    }
    w = stream_writer_new(gw_channel_socket_new(fd, 0));
    cpu = cpu_seconds();
    start = (double)now_ns(NULL);
    stream_put_u8(w, 1);
    if (!ram_save_setup(ms, w, &err)) {
        die("save", err);
    }
    while (!done) {
        stream_put_u8(w, 1);
        if (!ram_save_iterate(ms, w, PART_BYTES, &done, &err)) {
            die("save", err);
        }
    }
    stream_put_u8(w, 0);
    if (!stream_flush(w, &err)) {
        die("save", err);
    }
    res->cpu = cpu_seconds() - cpu;
    res->wire = stream_written(w);
    /* The other end is done when it says so. */
    if (read(fd, &answer, 1) != 1) {
        die("answer", NULL);
    }
    res->seconds = ((double)now_ns(NULL) - start) / 1e9;
    ram_save_cleanup(ms);
}

static void run(const Options *o, const char *kind)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    MigrationState *ms = new_state(o);
    const double gb = (double)(o->mib << 20) / 1e9;
    Result *res = mmap(NULL, 2 * sizeof(*res), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0);

    fill(o, kind, ram_block_at(ms, 0)->info.host);
    for (unsigned i = 0; i < o->rounds; i++) {
        int lfd = socket(AF_INET, SOCK_STREAM, 0);
        pid_t pid;

        if (bind(lfd, (struct sockaddr *)&sa, sizeof(sa)) || listen(lfd, 1) ||
            getsockname(lfd, (struct sockaddr *)&sa, &len)) {
            die("listen", NULL);
        }
        pid = fork();
        if (pid == 0) {
            /* The child must not hold copies of the source's memory. */
            munmap(ram_block_at(ms, 0)->info.host, o->mib << 20);
            receive(o, lfd, &res[1]);
            _exit(0);
        }
        transmit(o, ntohs(sa.sin_port), ms, &res[0]);
        waitpid(pid, NULL, 0);
        close(lfd);
        sa.sin_port = 0;
        res[0].sum = checksum(o, ram_block_at(ms, 0)->info.host);
        printf("%-10s %6" PRIu64 " MiB  %6.2f GB/s  wire %8.1f MB  cpu s/GB: save %.3f load %.3f  "
               "(%" PRIu64 " direct reads, %" PRIu64 " misses, %.1f MB back)%s\n",
               kind, o->mib, gb / res[0].seconds, (double)res[0].wire / 1e6, res[0].cpu / gb,
               res[1].cpu / gb, res[1].direct_reads, res[1].misses,
               (double)res[1].copied_back / 1e6,
               !o->check ? "" : res[0].sum == res[1].sum ? "  equal" : "  DIFFERENT");
        fflush(stdout);
    }
    munmap(ram_block_at(ms, 0)->info.host, o->mib << 20);
    g_ptr_array_unref(ms->ram_blocks);
    option_values_clear(&ms->options);
    g_free(ms);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"random", "mixed", "zero", "untouched"};
    Options o = {.mib = 1024, .rounds = 2, .kind = "all"};
    int opt;

    while ((opt = getopt(argc, argv, "s:r:k:b:c")) != -1) {
        switch (opt) {
        case 's':
            o.mib = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            o.rounds = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'k':
            o.kind = optarg;
            break;
        case 'b':
            o.buffer = atoi(optarg);
            break;
        case 'c':
            o.check = true;
            break;
        default:
            fprintf(stderr, "usage: %s [-s MIB] [-r ROUNDS] [-k KIND] [-b BYTES] [-c]\n", argv[0]);
            return 2;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (strcmp(o.kind, "all") == 0 || strcmp(o.kind, all[i]) == 0) {
            run(&o, all[i]);
        }
    }
    return 0;
}
