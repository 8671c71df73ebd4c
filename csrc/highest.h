/* The greatest value of a column and which records have it; the least, and whether any is null. */
#ifndef KINETICA_BRIDGE_HIGHEST_H
#define KINETICA_BRIDGE_HIGHEST_H

#include "out.h"
#include "walk.h"

/* As `bridge.types.Order` has them; those it has besides are Python's work. */
enum order {
    ORDER_NUMBER,
    ORDER_FLOAT,
    ORDER_BYTES,
    ORDER_MOMENT,
    ORDER_ULONG,
};

/* False when `name` is no order, or none of a column of this base. */
bool order_of(const char *name, enum base base, enum order *order);

struct highest {
    size_t records;         /* walked; at a fault, the index of the bad one */
    const uint8_t *record;  /* the last one walked */
    struct verdict verdict;
    const uint8_t *value; /* the column of the first record that has it; NULL if all are null */
};

/* Walk `count` records; the indices of those that have the greatest value, uint64_t each, go to
 * `indices`, whose `failed` says that memory was short. */
struct highest find_highest(const struct plan *plan, struct reader *reader, size_t count,
                            size_t column, enum order order, struct out *indices);

struct lowest {
    size_t records; /* as above */
    const uint8_t *record;
    struct verdict verdict;
    const uint8_t *value; /* the column of the first record that has the least */
    bool nulls;
};

/* Walk `count` records for the least value. */
struct lowest find_lowest(const struct plan *plan, struct reader *reader, size_t count,
                          size_t column, enum order order);

#endif
