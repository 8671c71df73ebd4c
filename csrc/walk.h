/* Validation: a walk over the bytes that builds nothing, and needs no Python. */
#ifndef KINETICA_BRIDGE_WALK_H
#define KINETICA_BRIDGE_WALK_H

#include "plan.h"
#include "reader.h"

/* What was wrong with a record: the fault, its byte counted from the record's first, and the
 * column (the number of columns for bytes left over). */
struct verdict {
    enum fault fault;
    size_t offset;
    size_t column;
};

/* One frame and, after `walk_frames`, the verdict on it. */
struct frame {
    struct span bytes;
    struct verdict verdict;
};

/* Walk one column's value, or null, from the cursor; the reader keeps a fault. */
void walk_column(struct reader *reader, const struct operation *operation);

/* Walk one record from the cursor; the verdict's fault is FAULT_NONE for a good one. */
struct verdict walk_record(const struct plan *plan, struct reader *reader);

/* Walk frames of one record each, every one to its last byte; returns how many are bad. */
size_t walk_frames(const struct plan *plan, struct frame *frames, size_t count);

#endif
