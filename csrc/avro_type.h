/* The type AvroForm: records as Avro of another schema. */
#ifndef KINETICA_BRIDGE_AVRO_TYPE_H
#define KINETICA_BRIDGE_AVRO_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Make the type and add it to the module; 0, or -1 with an exception. */
int avro_type_add(PyObject *module);

#endif
