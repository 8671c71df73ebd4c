/* A checked cursor over bytes from strangers.
 *
 * The first fault sticks: it is kept with its place, and the end moves to the cursor, so that
 * every later read fails by itself and yields zeros. Callers may therefore check once, after
 * several reads. Lengths are compared with the bytes left, never added to a pointer first.
 *
 * An offset is where the value (or the varint before it) begins that went wrong.
 */
#ifndef KINETICA_BRIDGE_READER_H
#define KINETICA_BRIDGE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum fault {
    FAULT_NONE,
    FAULT_TRUNCATED,      /* the bytes end within the value */
    FAULT_BEYOND_32_BITS, /* a varint that does not fit */
    FAULT_BEYOND_64_BITS,
    FAULT_UNION_INDEX,     /* neither 0 nor 1 */
    FAULT_NEGATIVE_LENGTH, /* of a string or bytes */
    FAULT_LENGTH,          /* more than the bytes left */
    FAULT_TOO_LONG,        /* more than the declared type holds */
    FAULT_NOT_UTF8,
    FAULT_OUT_OF_RANGE, /* of the declared type */
    FAULT_LEFT_OVER,    /* bytes after the last column */
};

struct reader {
    const uint8_t *start;
    const uint8_t *cursor;
    const uint8_t *end;
    enum fault fault;
    const uint8_t *fault_at;
};

/* Bytes owned by whoever owns the reader's input. */
struct span {
    const uint8_t *data;
    size_t size;
};

static inline struct reader reader_over(const uint8_t *data, size_t size) {
    return (struct reader){.start = data, .cursor = data, .end = data + size};
}

static inline size_t reader_left(const struct reader *reader) {
    return (size_t)(reader->end - reader->cursor);
}

/* Keep the first fault and make every later read fail; returns 0 for the caller to pass on. */
static inline int reader_fail(struct reader *reader, enum fault fault, const uint8_t *at) {
    if (reader->fault == FAULT_NONE) {
        reader->fault = fault;
        reader->fault_at = at;
    }
    reader->end = reader->cursor;
    return 0;
}

/* A base-128 varint of at most `most` bytes, the last of which is at most `last`. */
static inline uint64_t reader_varint(struct reader *reader, unsigned most, uint8_t last,
                                     enum fault beyond) {
    const uint8_t *at = reader->cursor;
    uint64_t bits = 0;

    for (unsigned i = 0; i < most; i++) {
        if (reader_left(reader) == 0)
            return (uint64_t)reader_fail(reader, FAULT_TRUNCATED, at);
        uint8_t byte = *reader->cursor++;
        if (i == most - 1 && byte > last)
            break;
        bits |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return bits;
    }
    return (uint64_t)reader_fail(reader, beyond, at);
}

static inline int64_t zigzag(uint64_t bits) {
    uint64_t value = (bits >> 1) ^ (0 - (bits & 1));
    int64_t result;
    memcpy(&result, &value, sizeof result); /* no implementation-defined cast */
    return result;
}

static inline int64_t reader_long(struct reader *reader) {
    if (reader->cursor != reader->end && *reader->cursor < 0x80)
        return zigzag(*reader->cursor++);
    return zigzag(reader_varint(reader, 10, 0x01, FAULT_BEYOND_64_BITS));
}

static inline int64_t reader_int(struct reader *reader) {
    if (reader->cursor != reader->end && *reader->cursor < 0x80)
        return zigzag(*reader->cursor++);
    return zigzag(reader_varint(reader, 5, 0x0f, FAULT_BEYOND_32_BITS));
}

/* `size` bytes as they stand; NULL at a fault. */
static inline const uint8_t *reader_fixed(struct reader *reader, size_t size) {
    const uint8_t *at = reader->cursor;

    if (reader_left(reader) < size) {
        reader_fail(reader, FAULT_TRUNCATED, at);
        return NULL;
    }
    reader->cursor += size;
    return at;
}

/* A length of at most `most`, then as many bytes; an empty span at a fault. */
static inline struct span reader_span(struct reader *reader, int64_t most) {
    const uint8_t *at = reader->cursor;
    int64_t length = reader_long(reader);
    struct span span = {reader->cursor, 0};

    if (reader->fault != FAULT_NONE)
        return span;
    if (length < 0)
        reader_fail(reader, FAULT_NEGATIVE_LENGTH, at);
    else if ((uint64_t)length > reader_left(reader))
        reader_fail(reader, FAULT_LENGTH, at);
    else if (length > most)
        reader_fail(reader, FAULT_TOO_LONG, at);
    else {
        span.size = (size_t)length;
        reader->cursor += span.size;
    }
    return span;
}

#endif
