/* The type Form: members are taken here, lines are made in `form_lines`. */
#include "form_type.h"

#include "plan_type.h"

/* Form(plan, record, key): members are (place, form, name, mask, mask_key). */

static int object_fill(struct object *object, const struct plan *plan, PyObject *members,
                       size_t *heads) {
    Py_ssize_t count = PyTuple_GET_SIZE(members);

    if (!object_open(object, (size_t)count)) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *member = PyTuple_GET_ITEM(members, i);
        struct wish wish;
        Py_ssize_t place, size, key_size;

        if (!PyTuple_Check(member)) {
            PyErr_SetString(PyExc_TypeError, "a member is a tuple");
            return -1;
        }
        if (!PyArg_ParseTuple(member, "nsy#zy#", &place, &wish.form, &wish.name, &size, &wish.mask,
                              &wish.mask_key, &key_size))
            return -1;
        wish.place = (size_t)place;
        wish.name_size = (size_t)size;
        wish.mask_key_size = (size_t)key_size;
        switch (object_set(object, plan, (size_t)i, &wish)) {
        case OBJECT_GOOD:
            *heads += (size_t)size + 1;
            break;
        case OBJECT_NO_MEMORY:
            PyErr_NoMemory();
            return -1;
        case OBJECT_NO_COLUMN:
            PyErr_Format(PyExc_ValueError, "no column %zd", place);
            return -1;
        case OBJECT_NO_FORM:
            PyErr_Format(PyExc_ValueError, "column %zd: no form %s for its base type", place,
                         wish.form);
            return -1;
        case OBJECT_NO_MASK:
            PyErr_Format(PyExc_ValueError, "no mask %s", wish.mask);
            return -1;
        }
    }
    return 0;
}

static int form_fill(FormObject *self, PyObject *plan, PyObject *record, PyObject *key) {
    const struct plan *layout = &((PlanObject *)plan)->decoder.plan;

    self->plan = Py_NewRef(plan);
    if (object_fill(&self->record, layout, record, &self->heads) < 0)
        return -1;
    self->keyed = key != Py_None;
    if (!self->keyed)
        return 0;
    if (!PyTuple_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "a key is a tuple of members, or None");
        return -1;
    }
    return object_fill(&self->key, layout, key, &self->key_heads);
}

static PyObject *Form_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"plan", "record", "key", NULL};
    const module_state *state = PyType_GetModuleState(type);
    PyObject *plan, *record, *key;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O:Form", names, &plan, &PyTuple_Type,
                                     &record, &key))
        return NULL;
    if (state == NULL || plan_of(state, plan) == NULL)
        return NULL;
    FormObject *self = (FormObject *)type->tp_alloc(type, 0); /* zeroed: safe to close as it is */
    if (self != NULL && form_fill(self, plan, record, key) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void Form_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    FormObject *self = (FormObject *)object;

    Py_XDECREF(self->plan);
    object_close(&self->record);
    object_close(&self->key);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef Form_methods[] = {
    {"lines", (PyCFunction)(void (*)(void))form_lines, METH_FASTCALL,
     "Write the records of a payload as lines, and their keys."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Form_slots[] = {
    {Py_tp_doc, "A way to write a plan's records as lines, compiled."},
    {Py_tp_new, Form_new},
    {Py_tp_dealloc, Form_dealloc},
    {Py_tp_methods, Form_methods},
    {0, NULL},
};

static PyType_Spec Form_spec = {
    .name = "bridge.codec._native.Form",
    .basicsize = sizeof(FormObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Form_slots,
};

int form_type_add(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &Form_spec, NULL);

    if (type == NULL)
        return -1;
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}
