/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A toy machine for tests and fuzzing of sections: one section in rounds ("chunks"), the `timer`
 * section of QEMU's layout, and a device with every container and subsection ("toy").
 */
#ifndef TESTS_TOY_SECTIONS_H
#define TESTS_TOY_SECTIONS_H

#include "engine-fixture.h"
#include "error.h"
#include "vmdesc.h"

/* ---- chunks: be32 length, bytes ---- */

#define CHUNK_MAX 64

typedef struct Chunks {
    Engine *engine;
    uint8_t left;      /* chunks to send; the k-th has k bytes */
    unsigned loaded;   /* bytes */
    unsigned setups, cleanups, load_setups, load_cleanups;
    bool fail;
} Chunks;

static inline void chunks_put(StreamWriter *w, unsigned n)
{
    stream_put_be32(w, n);
    for (unsigned i = 0; i < n; i++) {
        stream_put_u8(w, 0xcc);
    }
}

static inline bool chunks_save_setup(void *opaque, StreamWriter *w, GError **errp)
{
    Chunks *c = opaque;

    c->setups++;
    stream_put_be32(w, 0);
    return true;
}

static inline bool chunks_save_iterate(void *opaque, StreamWriter *w, uint64_t budget, bool *done,
                                       GError **errp)
{
    Chunks *c = opaque;

    if (c->fail) {
        return gw_fail(errp, GW_ERROR_GENERIC, "chunks are out");
    }
    chunks_put(w, c->left--);
    *done = c->left == 0;
    return true;
}

static inline bool chunks_save_complete(void *opaque, StreamWriter *w, GError **errp)
{
    stream_put_be32(w, 0);
    return true;
}

static inline void chunks_save_cleanup(void *opaque)
{
    ((Chunks *)opaque)->cleanups++;
}

static inline bool chunks_pending(void *opaque, bool exact, uint64_t *bytes, GError **errp)
{
    *bytes = ((Chunks *)opaque)->left * 10;
    return true;
}

static inline bool chunks_load_setup(void *opaque, GError **errp)
{
    ((Chunks *)opaque)->load_setups++;
    return true;
}

static inline bool chunks_load_state(void *opaque, StreamReader *r, int version_id, GError **errp)
{
    Chunks *c = opaque;
    uint8_t bytes[CHUNK_MAX];
    uint32_t n;

    if (c->engine) {
        g_assert_false(c->engine->locked);
    }
    if (!stream_get_be32(r, &n, errp)) {
        return false;
    }
    if (n > CHUNK_MAX) {
        return gw_fail(errp, GW_ERROR_PROTOCOL, "a chunk of %u bytes", n);
    }
    c->loaded += n;
    return stream_get_bytes(r, bytes, n, errp);
}

static inline void chunks_load_cleanup(void *opaque)
{
    ((Chunks *)opaque)->load_cleanups++;
}

static const SaveVMHandlers chunks_handlers = {
    .save_setup = chunks_save_setup,
    .save_iterate = chunks_save_iterate,
    .save_complete = chunks_save_complete,
    .save_cleanup = chunks_save_cleanup,
    .pending = chunks_pending,
    .load_setup = chunks_load_setup,
    .load_state = chunks_load_state,
    .load_cleanup = chunks_load_cleanup,
    .has_postcopy = true,
};

/* ---- timer ---- */

typedef struct ToyTimer {
    int64_t ticks, clock;
} ToyTimer;

static const VMStateDescription vmstate_toy_timer = {
    .name = "timer",
    .version_id = 2,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_INT64(ticks, ToyTimer), VMSTATE_UNUSED(8), VMSTATE_INT64_V(clock, ToyTimer, 2),
        VMSTATE_END,
    },
};

/* ---- toy ---- */

typedef struct ToyItem {
    uint8_t kind;
    uint16_t value;
} ToyItem;

typedef struct Toy {
    Engine *engine;
    bool on;
    uint32_t model;
    uint8_t n;
    ToyItem items[4];
    uint16_t len;
    uint8_t *blob;
    uint32_t bits;
    uint64_t map[2];
    uint64_t *map_at;
    GPtrArray *list;
    GTree *tree;
    GByteArray *bytes;
    ToyItem *slots[2];
    uint16_t extra;
    bool has_extra, fail_post_load, fail_apply, fail_post_commit;
} Toy;

static const VMStateDescription vmstate_toy_item = {
    .name = "toy_item",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(kind, ToyItem), VMSTATE_UINT16(value, ToyItem), VMSTATE_END,
    },
};

static inline bool toy_extra_needed(void *opaque)
{
    return ((Toy *)opaque)->has_extra;
}

static const VMStateDescription vmstate_toy_extra = {
    .name = "toy/extra",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = toy_extra_needed,
    .fields = (const VMStateField[]){VMSTATE_UINT16(extra, Toy), VMSTATE_END},
};

static inline bool toy_kinds_are_small(void *opaque, int version_id)
{
    Toy *t = opaque;

    for (unsigned i = 0; i < t->n && i < G_N_ELEMENTS(t->items); i++) {
        if (t->items[i].kind > 100) {
            return false;
        }
    }
    return true;
}

/* `applies`: the phase in which a batched load has its transaction open. `decodes`: the one in
 * which it may not look at the map. */
static inline bool toy_hook(void *opaque, bool decodes, bool applies, bool fails, const char *what,
                            GError **errp)
{
    Toy *t = opaque;

    if (t->engine) {
        g_assert_true(t->engine->locked);
        g_assert_cmpint(t->engine->open, ==, applies && t->engine->batched);
        g_assert_cmpint(t->engine->decoding, ==, decodes && t->engine->batched);
        engine_log(t->engine, what);
    }
    return !fails || gw_fail(errp, GW_ERROR_GENERIC, "%s does not like it", what);
}

static inline bool toy_post_load(void *opaque, int version_id, GError **errp)
{
    return toy_hook(opaque, true, false, ((Toy *)opaque)->fail_post_load, "post_load", errp);
}

static inline bool toy_apply(void *opaque, GError **errp)
{
    return toy_hook(opaque, false, true, ((Toy *)opaque)->fail_apply, "apply", errp);
}

static inline bool toy_post_commit(void *opaque, GError **errp)
{
    return toy_hook(opaque, false, false, ((Toy *)opaque)->fail_post_commit, "post_commit", errp);
}

static const VMStateDescription vmstate_toy_device = {
    .name = "toy",
    .version_id = 3,
    .minimum_version_id = 2,
    .post_load = toy_post_load,
    .apply = toy_apply,
    .post_commit = toy_post_commit,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(on, Toy), VMSTATE_UINT32_EQUAL(model, Toy), VMSTATE_UINT8(n, Toy),
        VMSTATE_STRUCT_VARRAY(items, Toy, n, vmstate_toy_item, ToyItem),
        VMSTATE_VALIDATE("item kinds", toy_kinds_are_small), VMSTATE_UINT16(len, Toy),
        VMSTATE_VBUFFER_ALLOC(blob, Toy, len, 32), VMSTATE_UINT32(bits, Toy),
        VMSTATE_BITMAP(map_at, Toy, bits), VMSTATE_QLIST(list, Toy, 4, vmstate_toy_item, ToyItem),
        VMSTATE_GTREE(tree, Toy, 4, vmstate_toy_item, ToyItem), VMSTATE_GBYTEARRAY(bytes, Toy, 32),
        VMSTATE_ARRAY_OF_POINTER_TO_STRUCT_AUTO_ALLOC(slots, Toy, 2, vmstate_toy_item, ToyItem),
        VMSTATE_END,
    },
    .subsections = (const VMStateDescription *const[]){&vmstate_toy_extra, NULL},
};

static inline void toy_init(Toy *t, Engine *e)
{
    *t = (Toy){.engine = e, .model = 0x70, .bits = 128};
    t->map_at = t->map;
}

static inline void toy_clear(Toy *t)
{
    g_clear_pointer(&t->blob, g_free);
    g_clear_pointer(&t->list, g_ptr_array_unref);
    g_clear_pointer(&t->tree, g_tree_unref);
    g_clear_pointer(&t->bytes, g_byte_array_unref);
    g_clear_pointer(&t->slots[0], g_free);
    g_clear_pointer(&t->slots[1], g_free);
}

/* ---- all of it ---- */

typedef struct ToySections {
    Engine *engine;
    Chunks chunks;
    ToyTimer timer;
    Toy toy;
} ToySections;

/* Section ids in the order of registration: chunks 0, toy 1, timer 2; `timer` goes out first. */
static inline ToySections *toy_sections_new(Engine *e)
{
    ToySections *t = g_new0(ToySections, 1);
    SaveRegistry *reg = &e->ms->registry;
    bool ok;

    t->engine = e;
    t->chunks.engine = e;
    toy_init(&t->toy, e);
    ok = save_registry_add_iterable(reg, "chunks", 0, 4, &chunks_handlers, &t->chunks, NULL) &&
         gw_vmstate_register(e->ms, NULL, VMSTATE_INSTANCE_ANY, &vmstate_toy_device, &t->toy,
                             MIGRATION_PRIORITY_DEFAULT, NULL) &&
         gw_vmstate_register(e->ms, NULL, 0, &vmstate_toy_timer, &t->timer,
                             MIGRATION_PRIORITY_APIC, NULL);
    g_assert_true(ok);
    return t;
}

static inline void toy_sections_free(ToySections *t)
{
    toy_clear(&t->toy);
    g_free(t);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToySections, toy_sections_free)

/* Something in every field, so that a stream has all kinds. */
static inline void toy_sections_fill(ToySections *t)
{
    Toy *d = &t->toy;

    t->chunks.left = 2;
    t->timer = (ToyTimer){-1, 0x1122334455667788};
    d->on = true;
    d->n = 2;
    d->items[0] = (ToyItem){1, 2};
    d->items[1] = (ToyItem){3, 4};
    d->len = 3;
    d->blob = g_memdup2("abc", 3);
    d->bits = 65;
    d->map[1] = 1;
    d->list = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(d->list, g_memdup2(&(ToyItem){5, 6}, sizeof(ToyItem)));
    d->bytes = g_byte_array_new();
    g_byte_array_append(d->bytes, (const guint8 *)"xy", 2);
    d->slots[1] = g_memdup2(&(ToyItem){7, 8}, sizeof(ToyItem));
    d->extra = 9;
    d->has_extra = true;
}

/* A whole precopy of what is registered, header to description. */
static inline GByteArray *toy_stream(MigrationState *ms)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    g_autoptr(VMDesc) vmdesc = vmdesc_new();
    GString *text;
    bool ok, done = false;

    savevm_put_header(ms, w);
    ok = savevm_state_setup(ms, w, NULL);
    while (ok && !done) {
        ok = savevm_state_iterate(ms, w, 1000, &done, NULL);
    }
    ok = ok && savevm_state_complete_iterable(ms, w, false, NULL) &&
         savevm_state_complete_devices(ms, w, vmdesc, NULL);
    g_assert_true(ok);
    stream_put_u8(w, QEMU_VM_EOF);
    text = vmdesc_text(ms, vmdesc);
    savevm_put_vmdesc(w, text->str);
    g_string_free(text, TRUE);
    savevm_state_cleanup(ms);
    return stream_writer_steal(w);
}

#endif
