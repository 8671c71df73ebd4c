/* Form, the Python type of a way to write records as lines. */
#ifndef KINETICA_BRIDGE_FORM_TYPE_H
#define KINETICA_BRIDGE_FORM_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Make the type and add it to the module; 0, or -1 with an exception. After `plan_type_add`. */
int form_type_add(PyObject *module);

#endif
