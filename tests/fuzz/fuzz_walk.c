/* Any bytes give a verdict: a fault inside the bytes, or records that fill them to the last.
 *
 * The input chooses the layout as well: a count of columns, a byte for each, then the payload.
 * The payload stands in memory of exactly its size, so that ASan sees a read of one byte more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "walk.h"

#define MOST_COLUMNS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* Bits 0 to 2 of the byte are the base, bit 3 is nullability, bits 4 to 7 choose the bounds. */
static void set_column(struct plan *plan, size_t index, uint8_t choice) {
    static const char *const names[] = {"int",    "long",  "float",  "double",
                                        "string", "bytes", "string", "int"};
    static const struct {
        int64_t low, high;
    } bounds[] = {{INT64_MIN, INT64_MAX}, {-128, 127}, {-32768, 32767}, {0, 4}};
    size_t bound = (size_t)(choice >> 4) % (sizeof bounds / sizeof *bounds);

    require(plan_set(plan, index, names[choice & 7], (choice & 8) != 0, bounds[bound].low,
                     bounds[bound].high),
            "every base has a name");
}

static void check_frame(const struct plan *plan, const uint8_t *payload, size_t size) {
    struct frame frame = {.bytes = {payload, size}};
    size_t bad = walk_frames(plan, &frame, 1);

    require(bad == (frame.verdict.fault != FAULT_NONE), "the count of bad frames is that of faults");
    require(frame.verdict.offset <= size, "a fault lies within the frame");
    require(frame.verdict.column <= plan->count, "a fault has a column");
    if (bad == 0)
        require(size >= plan->least, "no record is shorter than the shortest");
}

/* Record after record, as `split` does, until one is bad or the bytes are used up. */
static void check_records(const struct plan *plan, const uint8_t *payload, size_t size) {
    struct reader reader = reader_over(payload, size);

    while (reader_left(&reader) != 0) {
        const uint8_t *first = reader.cursor;
        struct verdict verdict = walk_record(plan, &reader);
        if (verdict.fault != FAULT_NONE) {
            require(reader_left(&reader) == 0, "after a fault nothing more is read");
            require(verdict.offset <= size - (size_t)(first - payload), "a fault lies within");
            return;
        }
        require((size_t)(reader.cursor - first) >= plan->least, "a record moves the cursor");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t columns = 1 + data[0] % MOST_COLUMNS;
    if (size < 1 + columns)
        return 0;

    struct plan plan;
    require(plan_open(&plan, columns), "there is memory");
    for (size_t i = 0; i < columns; i++)
        set_column(&plan, i, data[1 + i]);

    size_t left = size - 1 - columns;
    uint8_t *payload = malloc(left ? left : 1);
    require(payload != NULL, "there is memory");
    memcpy(payload, data + 1 + columns, left);
    check_frame(&plan, payload, left);
    check_records(&plan, payload, left);

    free(payload);
    plan_close(&plan);
    return 0;
}
