/* A block to event lines and message keys, in one pass and without Python. */
#ifndef KINETICA_BRIDGE_TRANSCODE_H
#define KINETICA_BRIDGE_TRANSCODE_H

#include "form.h"
#include "out.h"
#include "walk.h"

/* What a line is made of: literal text, and what differs from record to record. The numbers are
 * those of `bridge.codec.form.Slot`. */
enum slot {
    SLOT_OFFSET,
    SLOT_OFFSET20,
    SLOT_TIME,
    SLOT_TIME_MS,
    SLOT_TIME_US,
    SLOT_TIME_NS,
    SLOT_RECORD,
    SLOT_KEY,
    SLOT_KEY_TEXT,
    SLOT_CSV,
    SLOT_COUNT,
    SLOT_TEXT = SLOT_COUNT, /* `text` as it stands */
};

struct piece {
    enum slot slot;
    struct span text;
};

/* So many records were received at one time, microseconds since the epoch, which has a year of
 * four digits. */
struct run {
    uint64_t records;
    int64_t time;
};

struct transcoding {
    const struct plan *plan;
    const struct object *record;
    const struct object *key; /* NULL where there is none; then no piece is a key */
    struct span key_before; /* what stands in `keys` around each key */
    struct span key_after;
    const struct piece *pieces;
    size_t piece_count;
    const struct run *runs; /* for `count` records at least */
    uint64_t first;         /* offset of the first record */
    size_t count;
    struct out *lines; /* each line with its line feed */
    struct out *keys;  /* of no meaning without `key` */
    uint64_t *ends;    /* room for `count`, or for as many as the payload can hold */
    uint64_t *key_ends;
};

struct transcoded {
    bool memory_short;
    size_t records; /* how many were written; at a fault, the index of the bad one */
    const uint8_t *last; /* where the last one began that was looked at */
    struct verdict verdict;
};

/* Write records from the cursor on. Memory that is short, here or in an `out`, ends it. */
struct transcoded transcode(const struct transcoding *work, struct reader *reader);

#endif
