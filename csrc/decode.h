/* Python values from records. Everything here needs the GIL. */
#ifndef KINETICA_BRIDGE_DECODE_H
#define KINETICA_BRIDGE_DECODE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "plan.h"
#include "walk.h"

/* A plan as Python holds it. `blank` is a dict with every key and None for values: copying it
 * costs one allocation and never a resize. */
struct decoder {
    struct plan plan;
    PyObject *keys; /* a tuple of interned str, in wire order */
    PyObject *blank;
};

/* Make one record's dict from the cursor. NULL with `verdict` set at a fault in the bytes, NULL
 * with a Python exception when memory is short. */
PyObject *decode_record(const struct decoder *decoder, struct reader *reader,
                        struct verdict *verdict);

/* Make the value at the cursor, None for null: a new reference; NULL at a fault (the reader has
 * it) or with a Python exception. */
PyObject *decode_value(struct reader *reader, const struct operation *operation);

#endif
