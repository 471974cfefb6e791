/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net=1: the first vCPU sends frames of a known pattern through virtio-net to somebody who echoes
 * them, and checks every byte of what comes back. A frame that does not come back in time is sent
 * again, as after a move, when frames on the way are lost. net-pairs=N uses so many queue pairs.
 *
 * A frame: addresses swapped by nobody (the echo comes as it went), ethertype 0x88b5, then number,
 * length, and bytes that follow from both and the seed. To be checked from outside as well, in
 * tests/qtest/godwit/echo.py.
 */
#include "guest.h"
#include "virtio.h"

#define NET_DEVICE 1
#define PAIRS 2
#define WINDOW 8
#define BUFFER 2048
#define FRAME_MAX 9000
#define FRAME_MIN 60
#define PATTERN_AT 22
#define ETHERTYPE 0x88b5
#define LOST_US 50000
#define CONTROL_US 1000000

enum { F_GUEST_OFFLOADS = 2, F_MAC = 5, F_MRG = 15, F_STATUS = 16, F_CTRL = 17, F_CTRL_RX = 18,
       F_CTRL_VLAN = 19, F_ANNOUNCE = 21, F_MQ = 22, F_CTRL_MAC = 23, F_ANY_LAYOUT = 27 };
enum { S_LINK_UP = 1, S_ANNOUNCE = 2 };

struct packet {
    uint8_t header[12], bytes[FRAME_MAX + 4];
};

static struct vring rings[2 * PAIRS + 1];
static uint8_t buffers[PAIRS][RING][BUFFER];
static struct packet packets[WINDOW];
static struct {
    uint32_t number, length; /* of the frame in this slot; length 0: none */
    uint64_t sent_at;
    bool in_ring;            /* the device has it */
    uint8_t pair;
} slots[WINDOW];

static struct virtio device;
static struct virtqueue rx[PAIRS], tx[PAIRS], control;
static bool present;
static unsigned pairs, header;
static uint32_t next_number;
static uint8_t mac[6];
struct net_counters net;

/* A command: class, command, data; the answer is one byte. Waits for it. */
static bool command(struct work *w, uint8_t class, uint8_t cmd, const void *data, unsigned length)
{
    static uint8_t text[64];
    static volatile uint8_t answer;
    uint64_t end = clock_now(w) + clock_from_us(CONTROL_US);
    uint16_t head;
    uint32_t done;
    text[0] = class;
    text[1] = cmd;
    for (unsigned i = 0; i < length; i++)
        text[2 + i] = ((const uint8_t *)data)[i];
    answer = 0xff;
    control.ring->desc[0] = (struct vring_desc){(uint64_t)text, 2 + length, DESC_NEXT, 1};
    control.ring->desc[1] = (struct vring_desc){(uint64_t)&answer, 1, DESC_WRITE, 0};
    virtqueue_add(&control, 0);
    virtqueue_kick(&device, &control);
    while (!virtqueue_done(&control, &head, &done)) {
        if (clock_now(w) > end)
            return false;
    }
    return answer == 0;
}

/* What a driver sets and a move must keep: filter, VLANs, pairs. */
static bool configure(struct work *w)
{
    static const uint8_t off, on = 1;
    static const uint16_t vlans[] = {5, 4095, 6};
    static const uint8_t table[] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 1, 0, 94, 0, 0, 7};
    uint16_t count = (uint16_t)pairs;
    bool ok = command(w, 0, 0, &off, 1) && command(w, 0, 5, &on, 1) && command(w, 0, 5, &off, 1) &&
              command(w, 1, 0, table, sizeof(table)) && command(w, 1, 1, mac, sizeof(mac));
    for (unsigned i = 0; ok && i < sizeof(vlans) / sizeof(vlans[0]); i++)
        ok = command(w, 2, 0, &vlans[i], 2);
    ok = ok && command(w, 2, 1, &vlans[2], 2) && !command(w, 99, 0, NULL, 0);
    return ok && (pairs == 1 || command(w, 4, 0, &count, 2));
}

static void add_buffer(unsigned pair, uint16_t i)
{
    rx[pair].ring->desc[i] =
        (struct vring_desc){(uint64_t)buffers[pair][i], BUFFER, DESC_WRITE, 0};
    virtqueue_add(&rx[pair], i);
}

void net_setup(struct work *w)
{
    unsigned max = 1;
    if (!options.net || !virtio_find(&device, NET_DEVICE, 0))
        return;
    virtio_negotiate(&device, 1ull << F_GUEST_OFFLOADS | 1ull << F_MAC | 1ull << F_MRG |
                     1ull << F_STATUS | 1ull << F_CTRL | 1ull << F_CTRL_RX | 1ull << F_CTRL_VLAN |
                     1ull << F_ANNOUNCE | 1ull << F_CTRL_MAC | 1ull << F_ANY_LAYOUT |
                     (options.net_pairs > 1 ? 1ull << F_MQ : 0));
    header = virtio_has(&device, F_MRG) || virtio_has(&device, 32) ? 12 : 10;
    if (virtio_has(&device, F_MQ))
        max = virtio_config(&device, 8, 2);
    pairs = options.net_pairs < PAIRS ? (unsigned)options.net_pairs : PAIRS;
    pairs = pairs > max ? max : pairs ? pairs : 1;
    for (unsigned i = 0; i < pairs; i++) {
        virtqueue_setup(&device, &rx[i], &rings[2 * i], (uint16_t)(2 * i));
        virtqueue_setup(&device, &tx[i], &rings[2 * i + 1], (uint16_t)(2 * i + 1));
        for (uint16_t k = 0; k < RING; k++)
            add_buffer(i, k);
    }
    virtqueue_setup(&device, &control, &rings[2 * PAIRS], (uint16_t)(2 * max));
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)virtio_config(&device, i, 1);
    virtio_ready(&device);
    for (unsigned i = 0; i < pairs; i++)
        virtqueue_kick(&device, &rx[i]);
    present = true;
    net.pairs = pairs;
    net.configured = configure(w);
}

/* ---- the pattern ---- */

static uint8_t pattern(uint32_t number, uint32_t i)
{
    uint32_t x = (number * 2654435761u) ^ (i * 40503u) ^ (uint32_t)options.seed;
    return (uint8_t)(x >> 24 ^ x >> 8 ^ i);
}

static uint32_t length_of(uint32_t number)
{
    return FRAME_MIN + number * 7919u % (FRAME_MAX - FRAME_MIN);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * (3 - i)));
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void fill_packet(unsigned slot)
{
    struct packet *p = &packets[slot];
    uint32_t number = slots[slot].number, length = slots[slot].length;
    for (unsigned i = 0; i < 6; i++) {
        p->bytes[i] = mac[i]; /* to ourselves, so that the echo passes the filter */
        p->bytes[6 + i] = mac[i];
    }
    p->bytes[12] = ETHERTYPE >> 8;
    p->bytes[13] = ETHERTYPE & 255;
    put32(p->bytes + 14, number);
    put32(p->bytes + 18, length);
    for (uint32_t i = PATTERN_AT; i < length; i++)
        p->bytes[i] = pattern(number, i);
}

/* ---- out ---- */

static void send_slot(struct work *w, unsigned slot)
{
    unsigned pair = slots[slot].number % pairs;
    struct vring_desc *d = tx[pair].ring->desc;
    uint16_t head = (uint16_t)(2 * slot);
    d[head] = (struct vring_desc){(uint64_t)packets[slot].header, header, DESC_NEXT,
                                  (uint16_t)(head + 1)};
    d[head + 1] = (struct vring_desc){(uint64_t)packets[slot].bytes, slots[slot].length, 0, 0};
    slots[slot].sent_at = clock_now(w);
    slots[slot].in_ring = true;
    slots[slot].pair = (uint8_t)pair;
    virtqueue_add(&tx[pair], head);
    virtqueue_kick(&device, &tx[pair]);
    net.sent++;
}

static void take_sent(void)
{
    uint16_t head;
    uint32_t length;
    for (unsigned i = 0; i < pairs; i++) {
        while (virtqueue_done(&tx[i], &head, &length))
            slots[head / 2].in_ring = false;
    }
}

static void send_some(struct work *w)
{
    uint64_t now = clock_now(w);
    for (unsigned i = 0; i < WINDOW; i++) {
        if (slots[i].in_ring)
            continue;
        if (!slots[i].length) {
            slots[i].number = next_number++;
            slots[i].length = length_of(slots[i].number);
            fill_packet(i);
            send_slot(w, i);
        } else if (now - slots[i].sent_at > clock_from_us(LOST_US)) {
            net.again++;
            send_slot(w, i);
        }
    }
}

/* ---- in ---- */

static void check_frame(const uint8_t *frame, uint32_t length)
{
    uint32_t number = get32(frame + 14), wrong = 0;
    if (length < FRAME_MIN || (frame[12] << 8 | frame[13]) != ETHERTYPE) {
        net.strange++;
        return;
    }
    wrong += get32(frame + 18) != length || length != length_of(number);
    for (unsigned i = 0; i < 6; i++)
        wrong += frame[i] != mac[i] || frame[6 + i] != mac[i];
    for (uint32_t i = PATTERN_AT; i < length; i++)
        wrong += frame[i] != pattern(number, i);
    if (wrong) {
        net.wrong++;
        return;
    }
    net.bytes += length;
    for (unsigned i = 0; i < WINDOW; i++) {
        if (slots[i].length && slots[i].number == number) {
            slots[i].length = 0;
            net.echoed++;
            return;
        }
    }
    net.late++; /* the echo of a frame that was sent twice */
}

/* One frame, which may lie in several buffers; all of them are there at once. */
static void take_frame(unsigned pair, uint16_t head, uint32_t length)
{
    static uint8_t frame[FRAME_MAX + 2 * BUFFER];
    const uint8_t *first = buffers[pair][head];
    unsigned count = header == 12 ? first[10] | first[11] << 8 : 1;
    uint32_t have = 0;
    for (unsigned i = 0;; i++) {
        unsigned skip = i ? 0 : header;
        for (uint32_t k = skip; k < length && have < sizeof(frame); k++)
            frame[have++] = buffers[pair][head][k];
        add_buffer(pair, head);
        if (i + 1 >= count)
            break;
        if (!virtqueue_done(&rx[pair], &head, &length)) {
            net.wrong++;
            return;
        }
    }
    check_frame(frame, have);
}

static void take_received(void)
{
    uint16_t head;
    uint32_t length;
    for (unsigned i = 0; i < pairs; i++) {
        bool any = false;
        while (virtqueue_done(&rx[i], &head, &length)) {
            take_frame(i, head, length);
            net.by_pair[i]++;
            any = true;
        }
        if (any)
            virtqueue_kick(&device, &rx[i]);
    }
}

/* The device asks to announce the guest where it is now. */
void net_housekeeping(struct work *w)
{
    if (!present)
        return;
    uint32_t status = virtio_config(&device, 6, 2);
    net.link = status & S_LINK_UP;
    net.interrupts |= virtio_interrupts(&device);
    if ((status & S_ANNOUNCE) && command(w, 3, 0, NULL, 0))
        net.announced++;
}

void net_step(struct work *w)
{
    if (!present)
        return;
    take_sent();
    take_received();
    send_some(w);
}
