/* Records as JSON objects, or lines of CSV: which columns, in which form, under which names. */
#ifndef KINETICA_BRIDGE_FORM_H
#define KINETICA_BRIDGE_FORM_H

#include "out.h"
#include "plan.h"
#include "reader.h"
#include "sha256.h"

/* As `bridge.types.JsonForm` has them. */
enum form {
    FORM_NUMBER,
    FORM_BOOLEAN,
    FORM_TIMESTAMP,
    FORM_FLOAT,
    FORM_DOUBLE,
    FORM_TEXT,
    FORM_DATETIME,
    FORM_ULONG,
    FORM_JSON,
    FORM_VECTOR,
    FORM_BASE64,
};

/* What stands in place of a value that must not be seen. */
enum mask {
    MASK_NONE,
    MASK_HASH,   /* an HMAC-SHA-256 of it; null stays */
    MASK_REDACT, /* stars, also for null */
};

/* One member of an object. `head` is what stands before the value: the brace or comma, the name,
 * the colon. */
struct member {
    size_t place; /* the column's, in the record */
    enum form form;
    uint8_t *head;
    size_t head_size;
    enum mask mask;
    struct hmac_key *mask_key; /* of MASK_HASH */
};

struct object {
    size_t count;
    struct member *members;
    bool in_wire_order; /* each member's place is beyond the one before */
};

bool object_open(struct object *object, size_t count);

/* A member as it is asked for; none of it is kept. */
struct wish {
    size_t place;
    const char *form;
    const void *name; /* JSON with its colon */
    size_t name_size;
    const char *mask; /* hash, redact, or NULL */
    const void *mask_key;
    size_t mask_key_size;
};

enum object_error {
    OBJECT_GOOD,
    OBJECT_NO_MEMORY,
    OBJECT_NO_COLUMN,
    OBJECT_NO_FORM,
    OBJECT_NO_MASK,
};

/* Set member `index`, in ascending order and each one once. */
enum object_error object_set(struct object *object, const struct plan *plan, size_t index,
                             const struct wish *wish);

/* Let go of the memory; as `plan_close`. */
void object_close(struct object *object);

/* Write a member with the value at the cursor; the reader keeps a fault. */
void member_write(struct out *out, struct reader *reader, const struct operation *operation,
                  const struct member *member);

/* The value's part of it, where the member has a mask. */
void member_write_masked(struct out *out, struct reader *reader, const struct operation *operation,
                         const struct member *member);

/* Write the value at the cursor, which is not null, as JSON. */
void value_write(struct out *out, struct reader *reader, const struct operation *operation,
                 enum form form);

/* Write the value alone as CSV has it: quoted where it must be, nothing for null. */
void member_write_csv(struct out *out, struct reader *reader, const struct operation *operation,
                      const struct member *member);

/* What stands behind the last member. */
void object_end(struct out *out, const struct object *object);

#endif
