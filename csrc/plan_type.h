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

/* From here on work is long enough to let other threads run meanwhile; below, handing the GIL
 * over costs more than it gives. */
#define RELEASE_AT_BYTES ((size_t)4 * 1024)

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

/* Raise Malformed for a record. */
void raise_malformed(const module_state *state, Py_ssize_t index, const struct verdict *verdict);

/* A payload of records as Python gave it: checked to be bytes, a count that is not negative. */
struct payload {
    struct reader reader;
    size_t size;
    size_t count;
    size_t possible; /* the count, or how many the bytes can hold if those are fewer */
};

/* False with an exception. */
bool payload_take(const struct plan *plan, PyObject *payload, PyObject *count,
                  struct payload *taken);

/* The arguments of a method of Plan: as many as wanted, the first two a payload and its count;
 * false with an exception. */
bool plan_arguments(PyObject *self, PyObject *const *args, Py_ssize_t given, Py_ssize_t wanted,
                    struct payload *payload);

/* After `count` records, the last of which began at `last`: whether that was all; else raise. */
bool payload_used_up(const module_state *state, const struct plan *plan,
                     const struct payload *payload, const uint8_t *last);

/* Its methods that look into columns. */
PyObject *plan_highest(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *plan_lowest(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *plan_digests(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

/* (index, offset, fault, column), as `_native.pyi` has it; NULL with an exception. */
PyObject *verdict_tuple(Py_ssize_t index, const struct verdict *verdict);

#endif
