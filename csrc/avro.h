/* A block to Avro values of another schema, in one pass and without Python.
 *
 * The record stays Avro; what differs is the order of a union (Kinetica has null last), and what
 * is text in Kinetica and a number or bytes in Avro.
 */
#ifndef KINETICA_BRIDGE_AVRO_H
#define KINETICA_BRIDGE_AVRO_H

#include "avro_value.h"
#include "form.h"
#include "out.h"
#include "walk.h"

struct avro_field {
    size_t place; /* the column's, in the record */
    enum avro_form form;
    unsigned digits, scale; /* of a decimal */
};

struct avro_record {
    size_t count;
    struct avro_field *fields;
    struct object hashes; /* for each field of AVRO_HASH, what writes its hash */
    bool in_wire_order; /* each field's place is beyond the one before */
};

bool avro_open(struct avro_record *record, size_t count);

/* A field as it is asked for; none of it is kept. */
struct avro_wish {
    size_t place;
    const char *form;
    unsigned digits, scale;
    const char *json; /* the JSON form of what is hashed, or NULL */
    const void *mask_key;
    size_t mask_key_size;
};

/* Set field `index`, in ascending order and each one once; false where there is no such column,
 * no such form, or none for such a column, or memory is short. */
bool avro_set(struct avro_record *record, const struct plan *plan, size_t index,
              const struct avro_wish *wish);

/* Let go of the memory; as `plan_close`. */
void avro_close(struct avro_record *record);

/* A record with a value that the form does not have: which, and the first such field. */
struct avro_refusal {
    size_t index;
    size_t field;
};

struct avro_work {
    const struct plan *plan;
    const struct avro_record *record;
    struct span header; /* what stands before each value */
    size_t count;
    struct out *values;
    struct out *refusals; /* of `struct avro_refusal`, ascending; such a record has no bytes */
    uint64_t *ends;       /* room for `count`, or for as many as the payload can hold */
};

struct avro_done {
    bool memory_short;
    size_t records;      /* how many were read; at a fault, the index of the bad one */
    const uint8_t *last; /* where the last one began that was looked at */
    struct verdict verdict;
};

/* Write records from the cursor on. Memory that is short, here or in an `out`, ends it. */
struct avro_done avro_write(const struct avro_work *work, struct reader *reader);

#endif
