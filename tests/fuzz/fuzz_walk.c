/* Any bytes give a verdict: a fault inside the bytes, or records that fill them to the last; the
 * highest and the lowest of any column are among those records, and finding them comes to the same
 * verdict.
 */
#include "fuzz.h"
#include "highest.h"
#include "walk.h"

static void check_frame(const struct records *records) {
    struct frame frame = {.bytes = {records->payload, records->size}};
    size_t bad = walk_frames(&records->plan, &frame, 1);

    require(bad == (frame.verdict.fault != FAULT_NONE), "the count of bad frames is that of faults");
    require(frame.verdict.offset <= records->size, "a fault lies within the frame");
    require(frame.verdict.column <= records->plan.count, "a fault has a column");
    if (bad == 0)
        require(records->size >= records->plan.least, "no record is shorter than the shortest");
}

/* Record after record until one is bad or the bytes are used up; how many are good. */
static size_t check_records(const struct records *records, struct verdict *verdict) {
    struct reader reader = reader_over(records->payload, records->size);
    size_t count = 0;

    for (; reader_left(&reader) != 0; count++) {
        const uint8_t *first = reader.cursor;
        *verdict = walk_record(&records->plan, &reader);
        if (verdict->fault != FAULT_NONE) {
            require(reader_left(&reader) == 0, "after a fault nothing more is read");
            require(verdict->offset <= records->size - (size_t)(first - records->payload),
                    "a fault lies within");
            break;
        }
        require((size_t)(reader.cursor - first) >= records->plan.least, "a record moves the cursor");
    }
    return count;
}

static void check_highest(const struct records *records, size_t count, struct verdict verdict) {
    static const char *const names[] = {"number", "float", "bytes", "moment", "ulong"};
    size_t column = records->options % records->plan.count;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct reader reader = reader_over(records->payload, records->size);
        struct out indices = {.grow = out_grow};
        enum order order;
        if (!order_of(names[i], records->plan.operations[column].base, &order))
            continue;
        struct highest highest = find_highest(&records->plan, &reader,
                                              count + (verdict.fault != FAULT_NONE), column, order,
                                              &indices);
        require(highest.records == count, "as many good records");
        require(highest.verdict.fault == verdict.fault && highest.verdict.column == verdict.column &&
                    highest.verdict.offset == verdict.offset,
                "the same verdict");
        require((highest.value != NULL) == (indices.size != 0), "a value has an owner");
        for (size_t at = 0; at < indices.size; at += sizeof(uint64_t)) {
            uint64_t index;
            memcpy(&index, indices.data + at, sizeof index);
            require(index < count, "an owner is a record");
        }
        free(indices.data);

        reader = reader_over(records->payload, records->size);
        struct lowest lowest =
            find_lowest(&records->plan, &reader, highest.records + (verdict.fault != FAULT_NONE),
                        column, order);
        require(lowest.records == count && lowest.verdict.fault == verdict.fault,
                "the least is sought among the same records");
        require((lowest.value == NULL) == (highest.value == NULL), "least and greatest go together");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct verdict verdict = {.fault = FAULT_NONE};
    struct records records;

    if (!records_open(&records, data, size))
        return 0;
    check_frame(&records);
    size_t count = check_records(&records, &verdict);
    check_highest(&records, count, verdict);
    records_close(&records);
    return 0;
}
