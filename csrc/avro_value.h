/* Values as Avro has them: from the text that Kinetica sends to numbers and bytes. */
#ifndef KINETICA_BRIDGE_AVRO_VALUE_H
#define KINETICA_BRIDGE_AVRO_VALUE_H

#include "out.h"
#include "plan.h"
#include "reader.h"

/* How a column's values are written; names as `bridge.codec.avro.AvroForm` has them. */
enum avro_form {
    AVRO_COPY, /* as received */
    AVRO_BOOLEAN,
    AVRO_DATE,
    AVRO_TIME,
    AVRO_DATETIME,
    AVRO_DECIMAL,
    AVRO_ULONG,
    AVRO_UUID,
    AVRO_VECTOR,
    AVRO_HASH,   /* text in place of what nobody is to see: as `form.h` has it */
    AVRO_REDACT, /* stars, also for null */
    AVRO_FORMS,
};

#define AVRO_DIGITS_MOST 38 /* of a decimal: what 127 bits hold */

/* Find a form by its name; false where there is none, or it is not of the base type. */
bool avro_form_of(const char *name, enum base base, enum avro_form *form);

void avro_long(struct out *out, int64_t value);

/* Write text in a form; false, and nothing written, for text that has none. Digits are of decimals:
 * at most AVRO_DIGITS_MOST, `scale` of them behind the point. */
bool avro_text(struct out *out, enum avro_form form, struct span text, unsigned digits,
               unsigned scale);

/* Write little-endian floats of 4 bytes as an array; false where they are not whole. */
bool avro_vector(struct out *out, struct span bytes);

#endif
