/* A table's record layout, compiled: an array of column operations in wire order. */
#ifndef KINETICA_BRIDGE_PLAN_H
#define KINETICA_BRIDGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum base {
    BASE_INT,
    BASE_LONG,
    BASE_FLOAT,
    BASE_DOUBLE,
    BASE_STRING,
    BASE_BYTES,
};

/* One column. `low` and `high` bound the value of a number (int, long) and the length in bytes
 * of a string or bytes; they have no meaning for float and double. */
struct operation {
    enum base base;
    bool nullable; /* a union index stands before the value */
    int64_t low;
    int64_t high;
};

struct plan {
    size_t count;
    struct operation *operations;
    size_t least; /* bytes of the shortest record: what a count is checked against */
};

/* Make room for `count` columns; false when memory is short. */
bool plan_open(struct plan *plan, size_t count);

/* Set column `index`, each one once; false when `base` names no Avro type that Kinetica has. */
bool plan_set(struct plan *plan, size_t index, const char *base, bool nullable, int64_t low,
              int64_t high);

/* Let go of the memory; may be called twice, or without `plan_open` on a zeroed plan. */
void plan_close(struct plan *plan);

#endif
