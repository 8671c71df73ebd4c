/* Form, the Python type of a way to write a plan's records as lines. */
#ifndef KINETICA_BRIDGE_FORM_TYPE_H
#define KINETICA_BRIDGE_FORM_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "form.h"

typedef struct {
    PyObject_HEAD
    PyObject *plan; /* a PlanObject */
    bool keyed;
    struct object record;
    struct object key;
    size_t heads; /* bytes of the record's heads */
    size_t key_heads;
    size_t growth; /* bytes of lines for 256 of the payload, as the last call had it */
} FormObject;

/* Its method `lines`. */
PyObject *form_lines(PyObject *object, PyObject *const *args, Py_ssize_t nargs);

/* Make the type and add it to the module; 0, or -1 with an exception. */
int form_type_add(PyObject *module);

#endif
