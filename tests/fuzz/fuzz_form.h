/* What the targets that write records share. */
#ifndef KINETICA_BRIDGE_FUZZ_FORM_H
#define KINETICA_BRIDGE_FUZZ_FORM_H

#include "fuzz.h"

/* The form that a column's two spare bits choose among those of its base. */
static inline const char *form_of(enum base base, uint8_t choice) {
    static const char *const forms[][4] = {
        [BASE_INT] = {"number", "boolean", "timestamp", "number"},
        [BASE_LONG] = {"timestamp", "number", "boolean", "timestamp"},
        [BASE_FLOAT] = {"float", "float", "float", "float"},
        [BASE_DOUBLE] = {"double", "double", "double", "double"},
        [BASE_STRING] = {"text", "datetime", "ulong", "json"},
        [BASE_BYTES] = {"base64", "vector", "base64", "vector"},
    };
    return forms[base][choice >> 6];
}

#endif
