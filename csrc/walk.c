#include "walk.h"

#include "column.h"
#include "utf8.h"

static void walk_value(struct reader *reader, const struct operation *operation) {
    switch (operation->base) {
    case BASE_INT:
    case BASE_LONG:
        column_number(reader, operation);
        break;
    case BASE_FLOAT:
        reader_fixed(reader, 4);
        break;
    case BASE_DOUBLE:
        reader_fixed(reader, 8);
        break;
    case BASE_STRING: {
        struct span text = column_span(reader, operation);
        const uint8_t *bad = utf8_first_bad(text.data, text.size);
        if (bad)
            reader_fail(reader, FAULT_NOT_UTF8, bad);
        break;
    }
    case BASE_BYTES:
        column_span(reader, operation);
        break;
    }
}

void walk_column(struct reader *reader, const struct operation *operation) {
    if (column_present(reader, operation))
        walk_value(reader, operation);
}

struct verdict walk_record(const struct plan *plan, struct reader *reader) {
    const uint8_t *first = reader->cursor;

    for (size_t i = 0; i < plan->count; i++) {
        walk_column(reader, &plan->operations[i]);
        if (reader->fault != FAULT_NONE)
            return (struct verdict){reader->fault, (size_t)(reader->fault_at - first), i};
    }
    return (struct verdict){.fault = FAULT_NONE};
}

size_t walk_frames(const struct plan *plan, struct frame *frames, size_t count) {
    size_t bad = 0;

    for (size_t i = 0; i < count; i++) {
        struct reader reader = reader_over(frames[i].bytes.data, frames[i].bytes.size);
        struct verdict verdict = walk_record(plan, &reader);
        if (verdict.fault == FAULT_NONE && reader_left(&reader) != 0)
            verdict = (struct verdict){FAULT_LEFT_OVER, (size_t)(reader.cursor - reader.start),
                                       plan->count};
        frames[i].verdict = verdict;
        bad += verdict.fault != FAULT_NONE;
    }
    return bad;
}
