/* Receiver, the Python type that drains a SUB socket. */
#ifndef KINETICA_BRIDGE_RECEIVE_TYPE_H
#define KINETICA_BRIDGE_RECEIVE_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Make the type and add it to the module; 0, or -1 with an exception. */
int receive_add(PyObject *module);

#endif
