/* One column's value, read and held against its operation.
 *
 * The walk and the decoder both read through these, so that they cannot come to different
 * verdicts. At a fault the result is zero or empty, and the reader says what and where.
 */
#ifndef KINETICA_BRIDGE_COLUMN_H
#define KINETICA_BRIDGE_COLUMN_H

#include "plan.h"
#include "reader.h"

/* Whether a value follows; false for null and at a fault. */
static inline bool column_present(struct reader *reader, const struct operation *operation) {
    if (!operation->nullable)
        return true;

    const uint8_t *at = reader->cursor;
    int64_t index = reader_long(reader);
    if (reader->fault != FAULT_NONE)
        return false;
    if (index != 0 && index != 1)
        reader_fail(reader, FAULT_UNION_INDEX, at);
    return index == 0;
}

static inline int64_t column_number(struct reader *reader, const struct operation *operation) {
    const uint8_t *at = reader->cursor;
    int64_t value = operation->base == BASE_INT ? reader_int(reader) : reader_long(reader);

    if (reader->fault == FAULT_NONE && (value < operation->low || value > operation->high))
        return reader_fail(reader, FAULT_OUT_OF_RANGE, at);
    return value;
}

/* Little-endian IEEE 754, whatever the machine's own order. */
static inline float column_float(struct reader *reader) {
    const uint8_t *at = reader_fixed(reader, 4);
    float value = 0;

    if (at) {
        uint32_t bits = 0;
        for (int i = 3; i >= 0; i--)
            bits = bits << 8 | at[i];
        memcpy(&value, &bits, sizeof value);
    }
    return value;
}

static inline double column_double(struct reader *reader) {
    const uint8_t *at = reader_fixed(reader, 8);
    double value = 0;

    if (at) {
        uint64_t bits = 0;
        for (int i = 7; i >= 0; i--)
            bits = bits << 8 | at[i];
        memcpy(&value, &bits, sizeof value);
    }
    return value;
}

/* A string's bytes (not yet checked to be UTF-8) or bytes. */
static inline struct span column_span(struct reader *reader, const struct operation *operation) {
    return reader_span(reader, operation->high);
}

#endif
