/* The extension module: it gathers the types and the exception Malformed. */
#include "avro_type.h"
#include "form_type.h"
#include "plan_type.h"
#include "receive_type.h"

static int module_exec(PyObject *module) {
    module_state *state = PyModule_GetState(module);

    state->malformed =
        PyErr_NewExceptionWithDoc("bridge.codec._native.Malformed",
                                  "Bytes that are no record: (index, offset, fault, column).",
                                  NULL, NULL);
    if (state->malformed == NULL ||
        PyModule_AddObjectRef(module, "Malformed", state->malformed) < 0)
        return -1;

    if (plan_type_add(module) < 0 || form_type_add(module) < 0 || avro_type_add(module) < 0)
        return -1;
    return receive_add(module);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    module_state *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_VISIT(state->malformed);
        Py_VISIT(state->plan_type);
    }
    return 0;
}

static int module_clear(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_CLEAR(state->malformed);
        Py_CLEAR(state->plan_type);
    }
    return 0;
}

static void module_free(void *module) {
    module_clear((PyObject *)module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "Kinetica's records: validated, joined, decoded, written as lines.",
    .m_size = sizeof(module_state),
    .m_methods = NULL,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void) {
    return PyModuleDef_Init(&module_def);
}
