/* Any bytes give the same from the compiled module and from the fallback: dicts, ends, the
 * highest, lines and keys, or one error (decode_program.py has the comparison).
 *
 * The interpreter runs inside; PYTHONPATH has to lead to this folder and to what the bridge
 * imports, and the module is linked in.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
PyMODINIT_FUNC PyInit__native(void);

static PyObject *check;

static void start(void) {
    PyImport_AppendInittab("_native", PyInit__native);
    Py_InitializeEx(0);
    PyObject *program = PyImport_ImportModule("decode_program");
    check = program ? PyObject_GetAttrString(program, "check_linked") : NULL;
    if (check == NULL) {
        PyErr_Print();
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (check == NULL)
        start();
    PyObject *done = PyObject_CallFunction(check, "y#", (const char *)data, (Py_ssize_t)size);
    if (done == NULL) {
        PyErr_Print();
        abort();
    }
    Py_DECREF(done);
    return 0;
}
