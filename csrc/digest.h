/* A number for a record, the same for equal ones, however their values are written. */
#ifndef KINETICA_BRIDGE_DIGEST_H
#define KINETICA_BRIDGE_DIGEST_H

#include "out.h"
#include "walk.h"

/* How a column's value is brought to the one form that equal values share; what else there is
 * is Python's work. */
enum digest_form {
    DIGEST_PLAIN,
    DIGEST_MOMENT,
    DIGEST_UUID,
    DIGEST_DECIMAL,
};

struct digest_column {
    size_t place;
    enum digest_form form;
};

/* False when `name` is no form, or none of a column of this base. */
bool digest_form_of(const char *name, enum base base, enum digest_form *form);

struct digests {
    size_t records;        /* walked; at a fault, the index of the bad one */
    const uint8_t *record; /* the last one walked */
    struct verdict verdict;
    bool hard; /* a value that only Python brings to its form */
};

/* Walk `count` records and write a number for each to `numbers`. `starts` has room for a pointer
 * a column of the plan; `bytes` is emptied for each record, and its `failed` says that memory was
 * short. Stops at a fault, and at a hard value. */
struct digests find_digests(const struct plan *plan, struct reader *reader, size_t count,
                            const struct digest_column *columns, size_t column_count,
                            const uint8_t **starts, struct out *bytes, uint64_t *numbers);

#endif
