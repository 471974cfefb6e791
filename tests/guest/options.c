/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line's words: `pattern=random mem=64 rate=100 ...`. An unknown word is ignored, so
 * that one command line serves several versions of the guest; the first report repeats what was
 * understood. Runs on the first vCPU before anything else.
 */
#include "guest.h"

struct options options = {
    .pattern = SEQ,
    .mem = 32,
    .stride = 16,
    .seed = 1,
    .working_set = 100,
    .write = 50,
    .cpus = 1,
    .report = 1000,
};

static const char *const patterns[] = {
    [IDLE] = "idle",     [SEQ] = "seq",       [REVERSE] = "reverse", [RANDOM] = "random",
    [STRIDE] = "stride", [STREAM] = "stream", [DIRTY] = "dirty",
};

static const struct number {
    const char *name;
    uint64_t *value, most;
} numbers[] = {
    {"mem", &options.mem, MAX_GIB * 1024},
    {"skip", &options.skip, MAX_GIB * 1024},
    {"rate", &options.rate, 1000000},
    {"stride", &options.stride, 1 << 30},
    {"seed", &options.seed, UINT64_MAX},
    {"zero", &options.zero, 100},
    {"working-set", &options.working_set, 100},
    {"write", &options.write, 100},
    {"cpus", &options.cpus, MAX_CPUS},
    {"sweep", &options.sweep, 1000000},
    {"report", &options.report, 1000000},
    {"beat", &options.beat, 10000000},
    {"disk", &options.disk, 8},
    {"net", &options.net, 1},
    {"attach", &options.attach, 1},
    {"net-pairs", &options.net_pairs, 2},
    {"rng", &options.rng, 1},
    {"free", &options.free, MAX_GIB * 1024},
    {"tsc_khz", &options.tsc_khz, 100000000},
};

const char *options_pattern_name(void)
{
    return patterns[options.pattern];
}

/* If the text begins with `name`, what follows it. */
static const char *after(const char *text, const char *name)
{
    while (*name) {
        if (*text++ != *name++)
            return NULL;
    }
    return text;
}

static bool is_word(const char *text, const char *word)
{
    const char *rest = after(text, word);
    return rest && (*rest == 0 || *rest == ' ');
}

static void parse_word(const char *word)
{
    const char *value;
    if ((value = after(word, "pattern="))) {
        for (unsigned i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
            if (is_word(value, patterns[i])) {
                options.pattern = i;
                /* What the name promises; a later write= overrides it. */
                options.write = i == DIRTY ? 100 : i == STREAM ? 0 : 50;
            }
        }
    } else if ((value = after(word, "fill="))) {
        options.zero = is_word(value, "zero") ? 100 : is_word(value, "mixed") ? 50 : 0;
    } else if ((value = after(word, "wait="))) {
        options.wait_halt = is_word(value, "halt");
    } else {
        for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            value = after(word, numbers[i].name);
            if (!value || *value++ != '=')
                continue;
            uint64_t n = 0;
            while (*value >= '0' && *value <= '9')
                n = n * 10 + (uint64_t)(*value++ - '0');
            *numbers[i].value = n < numbers[i].most ? n : numbers[i].most;
        }
    }
}

void options_parse(const char *line)
{
    while (*line) {
        while (*line == ' ')
            line++;
        parse_word(line);
        while (*line && *line != ' ')
            line++;
    }
    options.cpus = options.cpus ? options.cpus : 1;
    options.working_set = options.working_set ? options.working_set : 1;
}
