/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues: from the available ring to elements and back through the used ring, with
 * indirect descriptors and event indices (virtio 1.2, 2.7).
 *
 * The device's lock guards it all; the other side of the rings is the guest, which may write
 * anything at any time: every index, length and address is read once and bounded. Indices are
 * loaded with acquire and stored with release order, so that what they announce is there.
 */
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "virtio-internal.h"

/* A request under construction: what the descriptors said so far. */
typedef struct Gather {
    VirtQueue *vq;
    struct iovec iov[VIRTQUEUE_MAX_SIZE];
    VirtQueuePiece pieces[VIRTQUEUE_MAX_SIZE];
    unsigned out_num, in_num;
    uint64_t out_len, in_len;
} Gather;

/* ---- the rings ---- */

static uint64_t desc_size(const VirtQueue *vq)
{
    return (uint64_t)vq->num * sizeof(struct vring_desc);
}

/* flags, idx, ring[num], used_event */
static uint64_t avail_size(const VirtQueue *vq)
{
    return 4 + 2ull * vq->num + 2;
}

/* flags, idx, ring[num], avail_event */
static uint64_t used_size(const VirtQueue *vq)
{
    return 4 + 8ull * vq->num + 2;
}

static uint16_t load16(MemoryCache *c, uint64_t offset)
{
    uint16_t *p = (uint16_t *)memory_cache_ptr(c, offset, 2);

    return p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
}

static void store16(MemoryCache *c, uint64_t offset, uint16_t v)
{
    uint16_t *p = (uint16_t *)memory_cache_ptr(c, offset, 2);

    if (p) {
        __atomic_store_n(p, v, __ATOMIC_RELEASE);
        memory_cache_mark_dirty(c, offset, 2);
    }
}

static uint16_t avail_idx(VirtQueue *vq)
{
    vq->shadow_avail_idx = load16(&vq->avail_cache, 2);
    return vq->shadow_avail_idx;
}

void virtqueue_layout_legacy(VirtQueue *vq)
{
    uint64_t align = vq->align ? vq->align : VIRTIO_LEGACY_ALIGN;

    vq->avail = vq->desc + desc_size(vq);
    /* The available ring is followed by used_event whether it is in use or not. */
    vq->used = (vq->avail + avail_size(vq) + align - 1) / align * align;
}

void virtqueue_unmap(VirtQueue *vq)
{
    memory_cache_clear(&vq->desc_cache);
    memory_cache_clear(&vq->avail_cache);
    memory_cache_clear(&vq->used_cache);
    vq->mapped = false;
}

static bool map_ring(VirtQueue *vq, MemoryCache *c, const char *name, uint64_t gpa, uint64_t len,
                     GError **errp)
{
    if (memory_cache_init(c, vq->vdev->machine->memory, gpa, len, c == &vq->used_cache, errp)) {
        return true;
    }
    g_prefix_error(errp, "%s ring: ", name);
    return false;
}

bool virtqueue_map(VirtQueue *vq, GError **errp)
{
    g_autoptr(GError) err = NULL;

    virtqueue_unmap(vq);
    if ((vq->desc & 15) || (vq->avail & 1) || (vq->used & 3)) {
        gw_fail(&err, GW_ERROR_PROTOCOL, "not aligned");
    } else {
        vq->mapped = map_ring(vq, &vq->desc_cache, "desc", vq->desc, desc_size(vq), &err) &&
                     map_ring(vq, &vq->avail_cache, "avail", vq->avail, avail_size(vq), &err) &&
                     map_ring(vq, &vq->used_cache, "used", vq->used, used_size(vq), &err);
    }
    if (vq->mapped) {
        return true;
    }
    virtqueue_unmap(vq);
    g_prefix_error(&err, "queue %u: num %u, align %u, rings at desc 0x%" PRIx64 ", avail 0x%" PRIx64
                   ", used 0x%" PRIx64 ": ", vq->index, vq->num, vq->align, vq->desc, vq->avail,
                   vq->used);
    if (errp) {
        g_propagate_error(errp, g_steal_pointer(&err));
    } else {
        virtio_error(vq->vdev, "%s", err->message);
    }
    return false;
}

void virtqueue_reset(VirtQueue *vq)
{
    virtqueue_unmap(vq);
    vq->num = vq->num_default;
    vq->align = VIRTIO_LEGACY_ALIGN;
    vq->desc = vq->avail = vq->used = 0;
    vq->enabled = vq->fresh = false;
    vq->last_avail_idx = vq->shadow_avail_idx = vq->used_idx = 0;
    vq->signalled_used = 0;
    vq->signalled_used_valid = false;
    vq->notification = true;
    vq->inuse = 0;
    memset(&vq->pending, 0, sizeof(vq->pending));
}

bool virtqueue_refresh(VirtQueue *vq, GError **errp)
{
    if (!vq->fresh) {
        return true;
    }
    vq->fresh = false;
    vq->used_idx = load16(&vq->used_cache, 2);
    vq->signalled_used_valid = false;
    vq->inuse = (uint16_t)(vq->last_avail_idx - vq->used_idx);

    uint16_t heads = avail_idx(vq) - vq->last_avail_idx;

    if (vq->inuse > vq->num || heads > vq->num) {
        g_autofree char *why =
            g_strdup_printf("last_avail_idx: queue %u of %u entries: the guest's available index "
                            "%u and used index %u do not go with the device's %u", vq->index,
                            vq->num, vq->shadow_avail_idx, vq->used_idx, vq->last_avail_idx);

        if (errp) {
            return gw_fail(errp, GW_ERROR_PROTOCOL, "%s", why);
        }
        virtio_error(vq->vdev, "%s", why);
        return false;
    }
    return true;
}

bool virtio_queue_ready(const VirtQueue *vq)
{
    return vq->mapped;
}

unsigned virtio_queue_num(const VirtQueue *vq)
{
    return vq->num;
}

unsigned virtio_queue_inuse(const VirtQueue *vq)
{
    return vq->inuse;
}

bool virtio_queue_empty(VirtQueue *vq)
{
    if (vq->vdev->broken || !vq->mapped || !virtqueue_refresh(vq, NULL)) {
        return true;
    }
    return vq->shadow_avail_idx == vq->last_avail_idx && avail_idx(vq) == vq->last_avail_idx;
}

void virtio_queue_set_notification(VirtQueue *vq, bool enable)
{
    vq->notification = enable;
    if (!vq->mapped || vq->vdev->broken) {
        return;
    }
    if (virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX)) {
        if (enable) {
            store16(&vq->used_cache, 4 + 8ull * vq->num, avail_idx(vq));
        }
    } else {
        uint16_t flags = load16(&vq->used_cache, 0);

        store16(&vq->used_cache, 0, enable ? flags & ~VRING_USED_F_NO_NOTIFY
                                           : flags | VRING_USED_F_NO_NOTIFY);
    }
    if (enable) {
        /* The guest must see it before we look at the ring for the last time. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
}

/* ---- pop ---- */

/* Takes one buffer into g. */
static bool gather_buffer(Gather *g, const struct vring_desc *d)
{
    VirtIODevice *vdev = g->vq->vdev;
    unsigned used = g->out_num + g->in_num;
    bool is_write = d->flags & VRING_DESC_F_WRITE;
    g_autoptr(GError) err = NULL;

    if (!d->len) {
        virtio_error(vdev, "queue %u: a buffer of 0 bytes", g->vq->index);
        return false;
    }
    if (!is_write && g->in_num) {
        virtio_error(vdev, "queue %u: a buffer to read after one to write", g->vq->index);
        return false;
    }

    unsigned n = memory_map_iov(vdev->machine->memory, d->addr, d->len, is_write, g->iov + used,
                                VIRTQUEUE_MAX_SIZE - used, &err);

    if (!n) {
        virtio_error(vdev, "queue %u: buffer of %u bytes: %s", g->vq->index, d->len,
                     err->message);
        return false;
    }

    uint64_t gpa = d->addr;

    for (unsigned i = 0; i < n; i++) {
        g->pieces[used + i] = (VirtQueuePiece){ gpa, g->iov[used + i].iov_len };
        gpa += g->iov[used + i].iov_len;
    }
    *(is_write ? &g->in_num : &g->out_num) += n;
    *(is_write ? &g->in_len : &g->out_len) += d->len;
    return true;
}

/* Follows the chain from `head` on in a table of `num` descriptors; the guest may change it under
 * us, so that its length is bounded by the table's. */
static bool gather_chain(Gather *g, MemoryCache *table, unsigned num, unsigned head, bool indirect);

static bool gather_indirect(Gather *g, const struct vring_desc *d)
{
    VirtQueue *vq = g->vq;
    VirtIODevice *vdev = vq->vdev;
    unsigned num = d->len / sizeof(struct vring_desc);
    g_autoptr(GError) err = NULL;
    MemoryCache table;

    if (!virtio_has_feature(vdev, VIRTIO_RING_F_INDIRECT_DESC) || !num ||
        d->len % sizeof(struct vring_desc) || num > VIRTQUEUE_MAX_SIZE) {
        virtio_error(vdev, "queue %u: an indirect table of %u bytes", vq->index, d->len);
        return false;
    }
    if (!memory_cache_init(&table, vdev->machine->memory, d->addr, d->len, false, &err)) {
        virtio_error(vdev, "queue %u: indirect table: %s", vq->index, err->message);
        return false;
    }

    bool ok = gather_chain(g, &table, num, 0, true);

    memory_cache_clear(&table);
    return ok;
}

static bool gather_chain(Gather *g, MemoryCache *table, unsigned num, unsigned head, bool indirect)
{
    VirtIODevice *vdev = g->vq->vdev;
    struct vring_desc d = { .flags = VRING_DESC_F_NEXT, .next = head };

    for (unsigned seen = 0; d.flags & VRING_DESC_F_NEXT; seen++) {
        const uint8_t *p = d.next < num ? memory_cache_ptr(table, (uint64_t)d.next * sizeof(d),
                                                           sizeof(d)) : NULL;

        if (!p || seen == num) {
            virtio_error(vdev, "queue %u: %s", g->vq->index,
                         p ? "a chain that does not end" : "a descriptor outside the table");
            return false;
        }
        memcpy(&d, p, sizeof(d));
        if (d.flags & VRING_DESC_F_INDIRECT) {
            if (indirect || (d.flags & VRING_DESC_F_NEXT)) {
                virtio_error(vdev, "queue %u: an indirect table inside a chain", g->vq->index);
                return false;
            }
            return gather_indirect(g, &d);
        }
        if (!gather_buffer(g, &d)) {
            return false;
        }
    }
    return true;
}

/* One block of memory: the caller's struct, then the arrays. */
static VirtQueueElement *element_new(const Gather *g, unsigned head, size_t size)
{
    unsigned n = g->out_num + g->in_num;
    size_t pieces_at = (size + 15) & ~(size_t)15;
    size_t iov_at = pieces_at + g->in_num * sizeof(VirtQueuePiece);
    VirtQueueElement *e = g_malloc(iov_at + n * sizeof(struct iovec));

    memset(e, 0, size);
    e->index = head;
    e->out_num = g->out_num;
    e->in_num = g->in_num;
    e->out_len = g->out_len;
    e->in_len = g->in_len;
    e->in_pieces = (VirtQueuePiece *)((uint8_t *)e + pieces_at);
    e->out_sg = (struct iovec *)((uint8_t *)e + iov_at);
    e->in_sg = e->out_sg + g->out_num;
    memcpy(e->in_pieces, g->pieces + g->out_num, g->in_num * sizeof(VirtQueuePiece));
    memcpy(e->out_sg, g->iov, n * sizeof(struct iovec));
    return e;
}

void *virtqueue_pop(VirtQueue *vq, size_t size)
{
    VirtIODevice *vdev = vq->vdev;
    Gather g;

    if (virtio_queue_empty(vq)) {
        return NULL;
    }
    if ((uint16_t)(vq->shadow_avail_idx - vq->last_avail_idx) > vq->num || vq->inuse >= vq->num) {
        virtio_error(vdev, "queue %u of %u entries: the guest made %u available, %u are in use",
                     vq->index, vq->num, (uint16_t)(vq->shadow_avail_idx - vq->last_avail_idx),
                     vq->inuse);
        return NULL;
    }

    unsigned head = load16(&vq->avail_cache, 4 + 2ull * (vq->last_avail_idx % vq->num));

    g.vq = vq;
    g.out_num = g.in_num = 0;
    g.out_len = g.in_len = 0;
    if (!gather_chain(&g, &vq->desc_cache, vq->num, head, false)) {
        return NULL;
    }
    vq->last_avail_idx++;
    vq->inuse++;
    if (vq->notification && virtio_has_feature(vdev, VIRTIO_RING_F_EVENT_IDX)) {
        store16(&vq->used_cache, 4 + 8ull * vq->num, vq->last_avail_idx);
    }
    return element_new(&g, head, size);
}

/* ---- push ---- */

static void mark_written(VirtQueue *vq, const VirtQueueElement *e, uint64_t len)
{
    for (unsigned i = 0; i < e->in_num && len; i++) {
        uint64_t n = MIN(len, e->in_pieces[i].len);

        memory_mark_dirty(vq->vdev->machine->memory, e->in_pieces[i].gpa, n);
        len -= n;
    }
}

/* The entry for an element, `ahead` of those that the guest knows. */
static bool put_used(VirtQueue *vq, const VirtQueueElement *elem, uint32_t len, unsigned ahead)
{
    uint64_t at = 4 + 8ull * ((uint16_t)(vq->used_idx + ahead) % vq->num);
    struct vring_used_elem u = { .id = elem->index, .len = len };
    uint8_t *p;

    mark_written(vq, elem, len);
    vq->inuse -= vq->inuse > 0;
    if (!vq->mapped || vq->vdev->broken) {
        return false;
    }
    p = memory_cache_ptr(&vq->used_cache, at, sizeof(u));
    if (!p) {
        return false;
    }
    memcpy(p, &u, sizeof(u));
    memory_cache_mark_dirty(&vq->used_cache, at, sizeof(u));
    return true;
}

void virtqueue_push_all(VirtQueue *vq, VirtQueueElement *const *elems, const uint32_t *lens,
                        unsigned n)
{
    unsigned done = 0;

    for (unsigned i = 0; i < n; i++) {
        done += put_used(vq, elems[i], lens[i], done);
    }
    if (!done) {
        return;
    }
    vq->used_idx += done;
    if ((int16_t)(vq->used_idx - vq->signalled_used) < (int)done) {
        vq->signalled_used_valid = false; /* went all the way round */
    }
    store16(&vq->used_cache, 2, vq->used_idx);
}

void virtqueue_push(VirtQueue *vq, const VirtQueueElement *elem, uint32_t len)
{
    virtqueue_push_all(vq, (VirtQueueElement *const[]){ (VirtQueueElement *)elem }, &len, 1);
}

void virtqueue_unpop(VirtQueue *vq, const VirtQueueElement *elem)
{
    vq->last_avail_idx--;
    vq->inuse -= vq->inuse > 0;
}

void virtqueue_detach(VirtQueue *vq, const VirtQueueElement *elem)
{
    vq->inuse -= vq->inuse > 0;
}

static bool should_notify(VirtQueue *vq)
{
    uint16_t old = vq->signalled_used, now = vq->used_idx;
    bool valid = vq->signalled_used_valid;

    /* used->idx must be out before the guest's wish is read: it writes the wish, then reads idx. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (virtio_has_feature(vq->vdev, VIRTIO_F_NOTIFY_ON_EMPTY) && !vq->inuse &&
        virtio_queue_empty(vq)) {
        return true;
    }
    if (!virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX)) {
        return !(load16(&vq->avail_cache, 0) & VRING_AVAIL_F_NO_INTERRUPT);
    }
    vq->signalled_used = now;
    vq->signalled_used_valid = true;
    return !valid || vring_need_event(load16(&vq->avail_cache, 4 + 2ull * vq->num), now, old);
}

void virtio_notify(VirtIODevice *vdev, VirtQueue *vq)
{
    if (vq->mapped && !vdev->broken && should_notify(vq)) {
        virtio_raise(vdev, VIRTIO_ISR_QUEUE);
    }
}

/* ---- pieces ---- */

static size_t iov_copy(const struct iovec *iov, unsigned n, size_t offset, uint8_t *buf, size_t len,
                       bool to_guest)
{
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t step = MIN(len - done, iov[i].iov_len - offset);
        uint8_t *p = (uint8_t *)iov[i].iov_base + offset;

        memcpy(to_guest ? p : buf + done, to_guest ? buf + done : p, step);
        done += step;
        offset = 0;
    }
    return done;
}

size_t virtio_iov_read(const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len)
{
    return iov_copy(iov, n, offset, buf, len, false);
}

size_t virtio_iov_write(const struct iovec *iov, unsigned n, size_t offset, const void *buf,
                        size_t len)
{
    return iov_copy(iov, n, offset, (uint8_t *)buf, len, true);
}
