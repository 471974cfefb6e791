/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Malformed sections, by table. The description that a section is saved with says where each of its
 * fields lies; every one is then cut short, set to values at the edges, and every subsection left
 * out, doubled, renamed, given other versions and put at another place. What is refused must name
 * the section and the field; what is accepted can be saved again. Rows say which values of which
 * fields must be refused. One thread; the machine lock is taken for every load.
 */
#ifndef TESTS_SECTION_TABLE_H
#define TESTS_SECTION_TABLE_H

#include <json.h>

#include "machine.h"
#include "state.h"
#include "vmstate-helpers.h"

typedef struct Leaf {
    char *path;        /* "virtio-blk/base/wire/queues[1]/num" */
    char *field;       /* "num" */
    guint at, size;    /* bytes of one element */
} Leaf;

typedef struct SubAt {
    char *name;
    guint at, len;     /* with its head; nested ones lie inside */
    const void *parent; /* to compare only */
} SubAt;

typedef struct SectionMap {
    GArray *leaves, *subs;
    guint len;
} SectionMap;

/* A value of a field that must be refused, and words of the refusal beside section and field. */
typedef struct BadValue {
    const char *section, *path; /* name of the description; the end of Leaf.path */
    const char *hex;
    const char *message;        /* NULL: the field's name will do */
} BadValue;

static inline void leaf_clear(gpointer p)
{
    g_free(((Leaf *)p)->path);
    g_free(((Leaf *)p)->field);
}

static inline void sub_clear(gpointer p)
{
    g_free(((SubAt *)p)->name);
}

static inline const char *json_text(json_object *o, const char *key)
{
    return json_object_get_string(json_object_object_get(o, key));
}

static inline guint json_number(json_object *o, const char *key, guint missing)
{
    json_object *v = json_object_object_get(o, key);

    return v ? (guint)json_object_get_int64(v) : missing;
}

static inline guint map_object(SectionMap *map, json_object *desc, const char *prefix, guint at);

static inline guint map_field(SectionMap *map, json_object *f, const char *prefix, guint at)
{
    json_object *body = json_object_object_get(f, "struct");
    g_autofree char *name = g_strdup(json_text(f, "name"));
    guint n = json_number(f, "array_len", 1), size = json_number(f, "size", 0);

    for (guint i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("%s/%s[%u]", prefix, name,
                                                json_number(f, "index", i));

        if (body) {
            map_object(map, body, path, at + i * size);
        } else if (size && !g_str_has_prefix(name, "unused")) {
            Leaf l = { g_strdup(path), g_strdup(name), at + i * size, size };

            l.field[strcspn(l.field, "[")] = '\0';
            g_array_append_val(map->leaves, l);
        }
    }
    return at + n * size;
}

static inline guint map_object(SectionMap *map, json_object *desc, const char *prefix, guint at)
{
    json_object *fields = json_object_object_get(desc, "fields");
    json_object *subs = json_object_object_get(desc, "subsections");

    for (size_t i = 0; i < json_object_array_length(fields); i++) {
        at = map_field(map, json_object_array_get_idx(fields, i), prefix, at);
    }
    for (size_t i = 0; subs && i < json_object_array_length(subs); i++) {
        json_object *sub = json_object_array_get_idx(subs, i);
        const char *name = json_text(sub, "vmsd_name");
        SubAt s = { g_strdup(name), at, 0, desc };
        guint index = map->subs->len;

        g_array_append_val(map->subs, s);
        at = map_object(map, sub, name, at + 2 + (guint)strlen(name) + 4);
        g_array_index(map->subs, SubAt, index).len = at - s.at;
    }
    return at;
}

static inline void section_map_free(SectionMap *map)
{
    g_array_free(map->leaves, TRUE);
    g_array_free(map->subs, TRUE);
    g_free(map);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SectionMap, section_map_free)

/* The section's bytes now; *map says what lies where, if wanted. */
static inline GByteArray *section_save(const SaveStateEntry *se, SectionMap **map)
{
    g_autoptr(StreamWriter) w = stream_writer_new(NULL);
    GError *err = NULL;
    GByteArray *bytes;

    vmstate_save(w, se->vmsd, se->opaque, NULL, &err);
    g_assert_no_error(err);
    bytes = stream_writer_steal(w);
    if (map) {
        g_autofree char *text = describe(se->vmsd, se->opaque);
        json_object *desc = json_tokener_parse(text);

        *map = g_new0(SectionMap, 1);
        (*map)->leaves = g_array_new(FALSE, FALSE, sizeof(Leaf));
        (*map)->subs = g_array_new(FALSE, FALSE, sizeof(SubAt));
        g_array_set_clear_func((*map)->leaves, leaf_clear);
        g_array_set_clear_func((*map)->subs, sub_clear);
        (*map)->len = map_object(*map, desc, se->vmsd->name, 0);
        g_assert_cmpuint((*map)->len, ==, bytes->len); /* the description tells the truth */
        json_object_put(desc);
    }
    return bytes;
}

/* All phases, as a migration does; how many bytes were left over, -1 with *errp. */
static inline gssize section_load(Machine *m, const SaveStateEntry *se, const GByteArray *bytes,
                                  GError **errp)
{
    g_autoptr(StreamReader) r = stream_reader_new_mem(bytes->data, bytes->len, "test");
    g_autoptr(GArray) loaded = g_array_new(FALSE, FALSE, sizeof(VMStateLoaded));
    const guint8 *rest;
    gssize left = -1;

    machine_lock(m);
    memory_transaction_begin(m->memory);
    if (vmstate_load(r, se->vmsd, se->opaque, se->vmsd->version_id, loaded, errp) &&
        vmstate_apply(loaded, errp)) {
        left = (gssize)stream_buffered(r, &rest);
    }
    if (!memory_transaction_commit(m->memory, left < 0 ? NULL : errp)) {
        left = -1;
    } else if (left >= 0 && !vmstate_post_commit(loaded, errp)) {
        left = -1;
        g_prefix_error(errp, "section '%s': ", se->idstr); /* as the engine does */
    }
    machine_unlock(m);
    return left;
}

static inline void assert_names(const SaveStateEntry *se, const GError *err, const char *field)
{
    g_assert_nonnull(err);
    if (!strstr(err->message, se->vmsd->name) || (field && !strstr(err->message, field))) {
        g_error("'%s' does not name the section %s and the field %s", err->message,
                se->vmsd->name, field ? field : "(any)");
    }
}

/* What these say decides how long the rest is: a wrong one shows where something later does not
 * fit, and only that can be named. */
static inline bool decides_layout(const Leaf *l)
{
    static const char *const names[] = { "guest_features", "filter.in_use", "ports" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(l->field, names[i])) {
            return true;
        }
    }
    return false;
}

/* The refusal names the field itself or the structure that it is a member of. */
static inline void assert_names_leaf(const SaveStateEntry *se, const GError *err, const Leaf *l)
{
    g_auto(GStrv) parts = g_strsplit(l->path, "/", -1);
    guint n = g_strv_length(parts);
    bool named = decides_layout(l);

    assert_names(se, err, NULL);
    for (guint i = n > 2 ? n - 2 : 1; i < n; i++) {
        parts[i][strcspn(parts[i], "[")] = '\0';
        named |= strstr(err->message, parts[i]) != NULL;
    }
    if (!named) {
        g_error("'%s' does not name %s", err->message, l->path);
    }
}

static inline GByteArray *bytes_copy(const GByteArray *from)
{
    GByteArray *b = g_byte_array_new();

    return g_byte_array_append(b, from->data, from->len);
}

static inline void assert_good(Machine *m, const SaveStateEntry *se, const GByteArray *good)
{
    g_autoptr(GByteArray) again = NULL;
    GError *err = NULL;
    gssize left = section_load(m, se, good, &err);

    g_assert_no_error(err);
    g_assert_cmpint(left, ==, 0);
    again = section_save(se, NULL);
    g_assert_cmpuint(again->len, ==, good->len);
    if (g_str_has_prefix(se->idstr, "virtio-")) { /* others have clocks in them */
        g_assert_cmpmem(again->data, again->len, good->data, good->len);
    }
}

/* ---- fields ---- */

#define LEAF_DENSE 4 /* elements of one array that are all tried; then one in LEAF_SPARSE */
#define LEAF_SPARSE 17

/* Cut in the middle of it, and right before it: the end is missed by this field. */
static inline void try_cut(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                           const Leaf *l)
{
    for (guint inside = 0; inside < MIN(l->size, 2); inside++) {
        g_autoptr(GByteArray) cut = bytes_copy(good);
        g_autoptr(GError) err = NULL;

        g_byte_array_set_size(cut, l->at + inside);
        g_assert_cmpint(section_load(m, se, cut, &err), ==, -1);
        assert_names_leaf(se, err, l);
    }
}

typedef void (*AfterLoad)(Machine *m, const SaveStateEntry *se, const Leaf *l);

static inline void try_value(Machine *m, const SaveStateEntry *se, const GByteArray *bad,
                             const Leaf *l, AfterLoad after)
{
    g_autoptr(GError) err = NULL;

    if (section_load(m, se, bad, &err) < 0) {
        assert_names_leaf(se, err, l);
        return;
    }

    g_autoptr(GByteArray) again = section_save(se, NULL);

    g_assert_cmpuint(again->len, >, 0);
    if (after) {
        after(m, se, l);
    }
}

/* All zeros, all ones, only the highest and only the lowest bit, and each of them turned round. */
static inline void try_values(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                              const Leaf *l, AfterLoad after)
{
    for (int k = 0; k < 6; k++) {
        g_autoptr(GByteArray) bad = bytes_copy(good);
        guint8 *p = bad->data + l->at;

        if (k < 4) {
            memset(p, k == 1 ? 0xff : 0, l->size);
        }
        p[0] ^= k == 2 || k == 4 ? 0x80 : 0;
        p[l->size - 1] ^= k == 3 || k == 5 ? 0x01 : 0;
        if (memcmp(p, good->data + l->at, l->size) != 0) {
            try_value(m, se, bad, l, after);
        }
    }
}

/* How many elements with that path there were before, whatever their index. */
static inline guint elements_before(GHashTable *seen, const Leaf *l)
{
    GString *key = g_string_new(NULL);
    guint n;

    for (const char *p = l->path; *p; p++) {
        if (!g_ascii_isdigit(*p)) {
            g_string_append_c(key, *p);
        }
    }
    n = GPOINTER_TO_UINT(g_hash_table_lookup(seen, key->str));
    g_hash_table_replace(seen, g_string_free(key, FALSE), GUINT_TO_POINTER(n + 1));
    return n;
}

#define BUFFER_DENSE 48 /* bytes at the beginning of a buffer that are tried one by one */

/* What is one field to the description may be a list: each of its bytes is changed as well. */
static inline void try_buffer(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                              const Leaf *l, AfterLoad after)
{
    static const guint8 changes[] = { 0x01, 0x80, 0xff };

    for (guint i = 0; l->size > 8 && i < MIN(l->size, BUFFER_DENSE); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(changes); k++) {
            g_autoptr(GByteArray) bad = bytes_copy(good);

            bad->data[l->at + i] ^= changes[k];
            try_value(m, se, bad, l, after);
        }
    }
}

static inline void try_fields(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                              const SectionMap *map, AfterLoad after)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < map->leaves->len; i++) {
        const Leaf *l = &g_array_index(map->leaves, Leaf, i);
        guint before = elements_before(seen, l);

        if (before < LEAF_DENSE || before % LEAF_SPARSE == 0) {
            try_cut(m, se, good, l);
            try_values(m, se, good, l, after);
            try_buffer(m, se, good, l, after);
        }
    }
}

/* ---- subsections ---- */

static inline void refuse_bytes(Machine *m, const SaveStateEntry *se, const GByteArray *bad,
                                const char *words)
{
    g_autoptr(GError) err = NULL;

    g_assert_cmpint(section_load(m, se, bad, &err), ==, -1);
    assert_names(se, err, words);
}

/* Left out: the section is whole, though another; or it is refused by name. */
static inline void try_without(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                               const SubAt *s)
{
    g_autoptr(GByteArray) bad = bytes_copy(good);
    g_autoptr(GError) err = NULL;

    g_byte_array_remove_range(bad, s->at, s->len);
    if (section_load(m, se, bad, &err) < 0) {
        assert_names(se, err, NULL);
    }
}

static inline void try_subsection(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                                  const SubAt *s)
{
    guint name_at = s->at + 2, version_at = name_at + (guint)strlen(s->name);
    g_autoptr(GByteArray) twice = g_byte_array_new(), bad = bytes_copy(good);

    try_without(m, se, good, s);
    g_byte_array_append(twice, good->data, s->at + s->len);
    g_byte_array_append(twice, good->data + s->at, good->len - s->at);
    refuse_bytes(m, se, twice, "comes twice");

    bad->data[version_at - 1] ^= 0x04; /* the last letter of its name */
    refuse_bytes(m, se, bad, "does not exist");
    bad->data[version_at - 1] ^= 0x04;
    bad->data[version_at + 3]++;
    refuse_bytes(m, se, bad, s->name);
    memset(bad->data + version_at, 0xff, 4);
    refuse_bytes(m, se, bad, s->name);
    for (guint cut = version_at; cut < version_at + 4; cut++) {
        g_byte_array_set_size(bad, cut);
        refuse_bytes(m, se, bad, s->name);
    }
}

/* The last but one behind the last says the same. */
static inline void try_order(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                             const SectionMap *map)
{
    for (guint i = 0; i + 1 < map->subs->len; i++) {
        const SubAt *a = &g_array_index(map->subs, SubAt, i), *b = a + 1;
        g_autoptr(GByteArray) turned = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        if (b->at != a->at + a->len || a->parent != b->parent) {
            continue;
        }
        g_byte_array_append(turned, good->data, a->at);
        g_byte_array_append(turned, good->data + b->at, b->len);
        g_byte_array_append(turned, good->data + a->at, a->len);
        g_byte_array_append(turned, good->data + b->at + b->len, good->len - b->at - b->len);
        g_assert_cmpint(section_load(m, se, turned, &err), ==, 0);
        g_assert_no_error(err);
    }
}

static inline void try_doubled(Machine *m, const SaveStateEntry *se, const GByteArray *good)
{
    g_autoptr(GByteArray) bad = bytes_copy(good);
    g_autoptr(GError) err = NULL;
    gssize left;

    g_byte_array_append(bad, good->data, good->len);
    left = section_load(m, se, bad, &err);
    if (left < 0) {
        assert_names(se, err, NULL);
    } else {
        g_assert_cmpint(left, >, 0); /* which the frame of the section does not allow */
    }
}

/* ---- rows ---- */

static inline const Leaf *find_leaf(const SectionMap *map, const char *path)
{
    for (guint i = 0; i < map->leaves->len; i++) {
        const Leaf *l = &g_array_index(map->leaves, Leaf, i);

        if (g_str_has_suffix(l->path, path)) {
            return l;
        }
    }
    return NULL;
}

/* How many rows were of this section. */
static inline guint refuse_rows(Machine *m, const SaveStateEntry *se, const GByteArray *good,
                                const SectionMap *map, const BadValue *rows, size_t n)
{
    guint used = 0;

    for (size_t i = 0; i < n; i++) {
        g_autoptr(GByteArray) bad = NULL, value = NULL;
        g_autoptr(GError) err = NULL;
        const Leaf *l;

        if (strcmp(rows[i].section, se->vmsd->name) != 0) {
            continue;
        }
        l = find_leaf(map, rows[i].path);
        if (!l) {
            g_error("section %s has no field %s", se->vmsd->name, rows[i].path);
        }
        value = unhex(rows[i].hex);
        g_assert_cmpuint(value->len, ==, l->size);
        bad = bytes_copy(good);
        memcpy(bad->data + l->at, value->data, value->len);
        if (section_load(m, se, bad, &err) >= 0) {
            g_error("%s = %s is accepted", l->path, rows[i].hex);
        }
        assert_names_leaf(se, err, l);
        assert_names(se, err, rows[i].message);
        used++;
    }
    return used;
}

/* Everything above for one section, which is left as it was found. */
static inline guint try_section(Machine *m, const SaveStateEntry *se, const BadValue *rows,
                                size_t n, AfterLoad after)
{
    g_autoptr(SectionMap) map = NULL;
    g_autoptr(GByteArray) good = section_save(se, &map);
    guint used;

    assert_good(m, se, good);
    try_fields(m, se, good, map, after);
    for (guint i = 0; i < map->subs->len; i++) {
        try_subsection(m, se, good, &g_array_index(map->subs, SubAt, i));
    }
    try_order(m, se, good, map);
    try_doubled(m, se, good);
    used = refuse_rows(m, se, good, map, rows, n);
    assert_good(m, se, good);
    return used;
}

/* Sections that exist now, but for the engine's own globalstate, filled when a migration begins. */
static inline bool section_is_there(const SaveStateEntry *se)
{
    return se->vmsd && strcmp(se->idstr, "globalstate") != 0 &&
           (!se->vmsd->needed || se->vmsd->needed(se->opaque));
}

#endif
