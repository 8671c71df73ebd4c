/* Plan, the Python type of a compiled layout, for whoever in this module takes one.
 *
 * `csrc/` without Python knows `struct plan`; a PlanObject holds one, with what Python needs.
 */
#ifndef KINETICA_BRIDGE_PLAN_TYPE_H
#define KINETICA_BRIDGE_PLAN_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "decode.h"
#include "walk.h"

/* What the module keeps for its types; PyType_GetModuleState of any of them. */
typedef struct {
    PyObject *malformed;     /* the exception Malformed */
    PyTypeObject *plan_type; /* PlanObject's */
} module_state;

typedef struct {
    PyObject_HEAD
    struct decoder decoder;
} PlanObject;

/* Make the type and add it to the module and its state; 0, or -1 with an exception. */
int plan_type_add(PyObject *module);

/* The plan of a Python object, borrowed from it; NULL with TypeError if it is no Plan. */
const struct plan *plan_of(const module_state *state, PyObject *object);

/* A fault's name, the value of a `bridge.codec.faults.Fault`. */
const char *fault_name(enum fault fault);

/* (index, offset, fault, column), as `_native.pyi` has it; NULL with an exception. */
PyObject *verdict_tuple(Py_ssize_t index, const struct verdict *verdict);

#endif
