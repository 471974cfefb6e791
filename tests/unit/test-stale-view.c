/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guards of the memory map are for: a device that translates its virtqueue too early, in
 * post_load or in apply of a batched load, while another device of that load changes what lies at
 * the ring's address. With the guards taken away the queue goes on with the memory that was there
 * before: it takes a request that is not the guest's and answers where nobody looks. With them it
 * is right, or the load fails before anything has changed; debug builds stop, and name the reader.
 *
 * The linker gives this program's readers of the map __wrap_ functions (tests/unit/meson.build):
 * with `guards` off those do without the poison, without a view made for the reader and without
 * the second translation after a commit. Nothing of that is in the library.
 */
#include "batch-fixture.h"
#include "memory-internal.h"
#include "virtio-internal.h"

#define RING_AT UINT64_C(0x10000)
#define OLD_AT UINT64_C(0x20000) /* the RAM that the cover shows at RING_AT */
#define BUFFER 0x4000            /* from a ring: what its one request says */
#define RING_SIZE 0x2000
#define USED 0x1000              /* from a ring */
#define TEXT 8

static bool guards = true;

MemoryView *__real_memory_view_get_by(MemoryMap *m, const char *reader);
MemoryView *__wrap_memory_view_get_by(MemoryMap *m, const char *reader);
uint8_t *__real_memory_cache_ptr_by(MemoryCache *c, uint64_t offset, uint64_t len,
                                    const char *reader);
uint8_t *__wrap_memory_cache_ptr_by(MemoryCache *c, uint64_t offset, uint64_t len,
                                    const char *reader);

MemoryView *__wrap_memory_view_get_by(MemoryMap *m, const char *reader)
{
    return guards ? __real_memory_view_get_by(m, reader) : memory_view_ref(m->memory->view);
}

uint8_t *__wrap_memory_cache_ptr_by(MemoryCache *c, uint64_t offset, uint64_t len,
                                    const char *reader)
{
    if (guards) {
        return __real_memory_cache_ptr_by(c, offset, len, reader);
    }
    return c->host && offset <= c->len && len <= c->len - offset ? c->host + offset : NULL;
}

/* Covers the ring with other memory, until a load says that the guest has switched that off. */
typedef struct Cover {
    MemoryRegion *region;
    uint8_t on;
} Cover;

typedef enum Phase { POST_LOAD, APPLY, POST_COMMIT } Phase;

typedef struct Side {
    MachineConfig *config;
    Machine *m;
    Cover cover;
    VirtIODevice vdev;
    VirtQueue vq;
    Phase maps_in; /* when the device translates its queue */
} Side;

static bool cover_apply(void *opaque, GError **errp)
{
    Cover *c = opaque;

    return memory_region_set_enabled(c->region, c->on, errp);
}

static const VMStateDescription cover_vmstate = {
    .name = "cover",
    .version_id = 1,
    .minimum_version_id = 1,
    .apply = cover_apply,
    .fields = (const VMStateField[]){ VMSTATE_UINT8(on, Cover), VMSTATE_END },
};

static bool map_in(Side *s, Phase phase, GError **errp)
{
    if (s->maps_in != phase) {
        return true;
    }
    virtqueue_layout_legacy(&s->vq);
    return virtqueue_map(&s->vq, errp);
}

static bool queue_post_load(void *opaque, int version_id, GError **errp)
{
    return map_in(opaque, POST_LOAD, errp);
}

static bool queue_apply(void *opaque, GError **errp)
{
    return map_in(opaque, APPLY, errp);
}

static bool queue_post_commit(void *opaque, GError **errp)
{
    return map_in(opaque, POST_COMMIT, errp);
}

static const VMStateDescription queue_vmstate = {
    .name = "queue",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = queue_post_load,
    .apply = queue_apply,
    .post_commit = queue_post_commit,
    .fields = (const VMStateField[]){ VMSTATE_UINT64(vq.desc, Side), VMSTATE_END },
};

static uint8_t *ram(Side *s, uint64_t offset)
{
    return gw_ram_block_info(s->m->ram_block)->host + offset;
}

/* A ring of legacy layout with one request, which says `text`. */
static void make_ring(Side *s, uint64_t at, const char *text)
{
    const struct vring_desc d = { .addr = at + BUFFER, .len = TEXT };
    uint16_t *avail = (uint16_t *)(ram(s, at) + s->vq.num * sizeof(d));

    memcpy(ram(s, at), &d, sizeof(d));
    memcpy(ram(s, at + BUFFER), text, TEXT);
    avail[1] = 1; /* idx; the first entry is descriptor 0 */
}

static uint16_t answers(Side *s, uint64_t at)
{
    return ((const uint16_t *)ram(s, at + USED))[1];
}

static void side_init(Side *s, bool batched, Phase maps_in)
{
    GError *err = NULL;

    *s = (Side){ .config = fixture_config(1), .maps_in = maps_in };
    s->m = fixture_machine(s->config);
    s->vdev.machine = s->m;
    s->vq = (VirtQueue){ .vdev = &s->vdev, .num = 8, .align = VIRTIO_LEGACY_ALIGN };
    s->cover.on = true;
    machine_lock(s->m);
    s->cover.region = memory_region_new_ram(s->m->memory, "cover", s->m->ram_block, OLD_AT,
                                            RING_SIZE);
    memory_region_add_overlap(memory_map_root(s->m->memory), RING_AT, s->cover.region, 1, &err);
    g_assert_no_error(err);
    gw_vmstate_register(s->m->migration, NULL, 0, &cover_vmstate, &s->cover,
                        MIGRATION_PRIORITY_DEFAULT, &err);
    g_assert_no_error(err);
    gw_vmstate_register(s->m->migration, NULL, 0, &queue_vmstate, s, MIGRATION_PRIORITY_DEFAULT,
                        &err);
    g_assert_no_error(err);
    machine_unlock(s->m);
    batch_setup(s->m, batched);
    make_ring(s, RING_AT, "current");
    make_ring(s, OLD_AT, "old one");
}

static void side_clear(Side *s)
{
    machine_lock(s->m);
    gw_vmstate_unregister(s->m->migration, &cover_vmstate, &s->cover);
    gw_vmstate_unregister(s->m->migration, &queue_vmstate, s);
    memory_region_free(s->cover.region);
    machine_unlock(s->m);
    machine_free(s->m);
    machine_config_free(s->config);
}

/* Of a guest that has uncovered its ring. */
static GByteArray *stream(void)
{
    GByteArray *bytes;
    Side s;

    side_init(&s, false, POST_COMMIT);
    s.cover.on = false;
    s.vq.desc = RING_AT;
    bytes = batch_save(s.m);
    side_clear(&s);
    return bytes;
}

/* The device serves its queue after the load: what it read, and where its answer went. */
static void check_request(Side *s, const char *text, uint64_t answered, uint64_t untouched)
{
    g_autofree VirtQueueElement *e = virtqueue_pop(&s->vq, sizeof(VirtQueueElement));
    char said[TEXT];

    g_assert_nonnull(e);
    g_assert_cmpuint(virtio_iov_read(e->out_sg, e->out_num, 0, said, TEXT), ==, TEXT);
    g_assert_cmpstr(said, ==, text);
    virtqueue_push(&s->vq, e, 0);
    g_assert_cmpuint(answers(s, answered), ==, 1);
    g_assert_cmpuint(answers(s, untouched), ==, 0);
}

typedef struct Case {
    const char *path;
    bool guards, batched;
    Phase maps_in;
    bool stale;
} Case;

static const Case cases[] = {
    { "/stale-view/unguarded/batched/post-load", false, true, POST_LOAD, true },
    { "/stale-view/unguarded/batched/apply", false, true, APPLY, true },
    /* What makes the difference is the batch: one by one, the map is there in time. */
    { "/stale-view/unguarded/one-by-one/post-load", false, false, POST_LOAD, false },
    { "/stale-view/unguarded/one-by-one/apply", false, false, APPLY, false },
    { "/stale-view/unguarded/batched/post-commit", false, true, POST_COMMIT, false },
    { "/stale-view/guarded/batched/apply", true, true, APPLY, false },
    { "/stale-view/guarded/one-by-one/post-load", true, false, POST_LOAD, false },
    { "/stale-view/guarded/batched/post-commit", true, true, POST_COMMIT, false },
};

static void test_case(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(GByteArray) bytes = stream();
    GError *err = NULL;
    Side s;

    side_init(&s, c->batched, c->maps_in);
    guards = c->guards;
    batch_load(s.m, bytes, &err);
    g_assert_no_error(err);
    if (c->stale) {
        check_request(&s, "old one", OLD_AT, RING_AT);
    } else {
        check_request(&s, "current", RING_AT, OLD_AT);
    }
    guards = true;
    side_clear(&s);
}

/* Release builds, while decoding: no view can be right, so the load fails, and nothing changed. */
static void test_refused(void)
{
    g_autoptr(GByteArray) bytes = stream();
    g_autoptr(GError) err = NULL;
    Side s;

    side_init(&s, true, POST_LOAD);
    g_assert_false(batch_load(s.m, bytes, &err));
    g_assert_nonnull(strstr(err->message, "map_ring() read it while device state"));
    g_assert_true(memory_region_is_enabled(s.cover.region));
    g_assert_cmpuint(answers(&s, RING_AT) + answers(&s, OLD_AT), ==, 0);
    side_clear(&s);
}

/* Debug builds. */
static void test_poison(gconstpointer phase)
{
    const Phase maps_in = GPOINTER_TO_INT(phase);

    if (g_test_subprocess()) {
        g_autoptr(GByteArray) bytes = stream();
        Side s;

        side_init(&s, true, maps_in);
        memory_map_set_poison(s.m->memory, true);
        batch_load(s.m, bytes, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(maps_in == APPLY ? "*map_ring() reads it between an edit*"
                                               : "*map_ring() reads it while device state*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_add_data_func(cases[i].path, &cases[i], test_case);
    }
    g_test_add_func("/stale-view/guarded/batched/post-load", test_refused);
    g_test_add_data_func("/stale-view/poison/post-load", GINT_TO_POINTER(POST_LOAD), test_poison);
    g_test_add_data_func("/stale-view/poison/apply", GINT_TO_POINTER(APPLY), test_poison);
    return g_test_run();
}
