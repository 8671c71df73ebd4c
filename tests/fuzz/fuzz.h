/* What the targets share: a layout and records of it, read from the fuzzer's bytes.
 *
 * The first byte chooses how many columns there are (its low half) and options of the target
 * (its high half); then a byte for each column; the rest is the payload. It stands in memory of
 * exactly its size, so that ASan sees a read of one byte more.
 */
#ifndef KINETICA_BRIDGE_FUZZ_H
#define KINETICA_BRIDGE_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

#define MOST_COLUMNS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

struct records {
    struct plan plan;
    const uint8_t *choices; /* of each column, for what the target still has to choose */
    unsigned options;       /* 0 to 15 */
    uint8_t *payload;
    size_t size;
};

/* Bits 0 to 2 of a column's byte are the base, bit 3 is nullability, bits 4 and 5 choose the
 * bounds; bits 6 and 7 are the target's. */
static inline void records_column(struct plan *plan, size_t index, uint8_t choice) {
    static const char *const names[] = {"int",    "long",  "float",  "double",
                                        "string", "bytes", "string", "int"};
    static const struct {
        int64_t low, high;
    } bounds[] = {{INT64_MIN, INT64_MAX}, {-128, 127}, {-32768, 32767}, {0, 4}};

    require(plan_set(plan, index, names[choice & 7], (choice & 8) != 0, bounds[choice >> 4 & 3].low,
                     bounds[choice >> 4 & 3].high),
            "every base has a name");
}

/* False when the bytes are too few for a layout. */
static inline bool records_open(struct records *records, const uint8_t *data, size_t size) {
    size_t columns = size ? 1 + data[0] % MOST_COLUMNS : 0;

    if (size < 1 + columns || columns == 0)
        return false;
    require(plan_open(&records->plan, columns), "there is memory");
    for (size_t i = 0; i < columns; i++)
        records_column(&records->plan, i, data[1 + i]);
    records->choices = data + 1;
    records->options = data[0] / MOST_COLUMNS;
    records->size = size - 1 - columns;
    records->payload = malloc(records->size ? records->size : 1);
    require(records->payload != NULL, "there is memory");
    memcpy(records->payload, data + 1 + columns, records->size);
    return true;
}

static inline void records_close(struct records *records) {
    free(records->payload);
    plan_close(&records->plan);
}

#endif
