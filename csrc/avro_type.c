/* The type AvroForm: takes arguments and gives results; `avro_write` does the work. */
#include "avro_type.h"

#include "avro.h"
#include "plan_type.h"

typedef struct {
    PyObject_HEAD
    PyObject *plan; /* a PlanObject */
    struct avro_record record;
} AvroObject;

/* AvroForm(plan, fields): fields are (place, form, digits, scale, json, mask key). */

static int record_fill(struct avro_record *record, const struct plan *plan, PyObject *fields) {
    Py_ssize_t count = PyTuple_GET_SIZE(fields);

    if (!avro_open(record, (size_t)count)) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *field = PyTuple_GET_ITEM(fields, i);
        Py_ssize_t place, key_size;
        struct avro_wish wish;

        if (!PyTuple_Check(field)) {
            PyErr_SetString(PyExc_TypeError, "a field is a tuple");
            return -1;
        }
        if (!PyArg_ParseTuple(field, "nsIIzy#", &place, &wish.form, &wish.digits, &wish.scale,
                              &wish.json, &wish.mask_key, &key_size))
            return -1;
        wish.place = (size_t)place;
        wish.mask_key_size = (size_t)key_size;
        if (!avro_set(record, plan, (size_t)i, &wish)) {
            PyErr_Format(PyExc_ValueError, "column %zd: no form %s for it", place, wish.form);
            return -1;
        }
    }
    return 0;
}

static PyObject *Avro_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"plan", "fields", NULL};
    const module_state *state = PyType_GetModuleState(type);
    PyObject *plan, *fields;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!:AvroForm", names, &plan, &PyTuple_Type,
                                     &fields))
        return NULL;
    const struct plan *layout = state == NULL ? NULL : plan_of(state, plan);
    if (layout == NULL)
        return NULL;
    AvroObject *self = (AvroObject *)type->tp_alloc(type, 0); /* zeroed: safe to close as it is */
    if (self == NULL)
        return NULL;
    self->plan = Py_NewRef(plan);
    if (record_fill(&self->record, layout, fields) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void Avro_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    AvroObject *self = (AvroObject *)object;

    Py_XDECREF(self->plan);
    avro_close(&self->record);
    type->tp_free(object);
    Py_DECREF(type);
}

/* AvroForm.write(payload, count, header) */

static PyObject *refusals_list(const struct out *refusals) {
    size_t count = refusals->size / sizeof(struct avro_refusal);
    PyObject *list = PyList_New((Py_ssize_t)count);

    for (size_t i = 0; list != NULL && i < count; i++) {
        struct avro_refusal refusal;
        memcpy(&refusal, refusals->data + i * sizeof refusal, sizeof refusal);
        PyObject *each = Py_BuildValue("nn", (Py_ssize_t)refusal.index, (Py_ssize_t)refusal.field);
        if (each == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, each);
    }
    return list;
}

static PyObject *results(const struct out *values, PyObject *ends, const struct out *refusals) {
    if (values->size > PY_SSIZE_T_MAX)
        return PyErr_NoMemory();
    PyObject *list = refusals_list(refusals);
    PyObject *bytes = list == NULL ? NULL
                                   : PyBytes_FromStringAndSize((const char *)values->data,
                                                               (Py_ssize_t)values->size);
    PyObject *result = bytes == NULL ? NULL : PyTuple_Pack(3, bytes, ends, list);

    Py_XDECREF(bytes);
    Py_XDECREF(list);
    return result;
}

static PyObject *write_payload(const AvroObject *self, const module_state *state,
                               struct payload *payload, struct span header) {
    const struct plan *plan = &((PlanObject *)self->plan)->decoder.plan;
    struct out values = {.grow = out_grow}, refusals = {.grow = out_grow};
    PyObject *result = NULL;
    PyObject *ends =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(payload->possible * sizeof(uint64_t)));

    if (ends == NULL)
        return NULL;
    struct avro_work work = {
        .plan = plan,
        .record = &self->record,
        .header = header,
        .count = payload->count,
        .values = &values,
        .refusals = &refusals,
        .ends = (uint64_t *)(void *)PyBytes_AS_STRING(ends),
    };
    struct avro_done done;
    if (payload->size < RELEASE_AT_BYTES)
        done = avro_write(&work, &payload->reader);
    else {
        Py_BEGIN_ALLOW_THREADS;
        done = avro_write(&work, &payload->reader);
        Py_END_ALLOW_THREADS;
    }
    if (done.memory_short)
        PyErr_NoMemory();
    else if (done.verdict.fault != FAULT_NONE)
        raise_malformed(state, (Py_ssize_t)done.records, &done.verdict);
    else if (payload_used_up(state, plan, payload, done.last))
        result = results(&values, ends, &refusals);
    free(values.data);
    free(refusals.data);
    Py_DECREF(ends);
    return result;
}

static PyObject *Avro_write(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    const AvroObject *self = (const AvroObject *)object;
    const module_state *state = PyType_GetModuleState(Py_TYPE(object));
    struct payload payload;

    if (nargs != 3 || !PyBytes_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "write takes a payload, a count and a header of bytes");
        return NULL;
    }
    if (!payload_take(&((PlanObject *)self->plan)->decoder.plan, args[0], args[1], &payload))
        return NULL;
    struct span header = {(const uint8_t *)PyBytes_AS_STRING(args[2]),
                          (size_t)PyBytes_GET_SIZE(args[2])};
    return write_payload(self, state, &payload, header);
}

static PyMethodDef Avro_methods[] = {
    {"write", (PyCFunction)(void (*)(void))Avro_write, METH_FASTCALL,
     "Write the records of a payload as Avro of another schema."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Avro_slots[] = {
    {Py_tp_doc, "A way to write a plan's records as Avro, compiled."},
    {Py_tp_new, Avro_new},
    {Py_tp_dealloc, Avro_dealloc},
    {Py_tp_methods, Avro_methods},
    {0, NULL},
};

static PyType_Spec Avro_spec = {
    .name = "bridge.codec._native.AvroForm",
    .basicsize = sizeof(AvroObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Avro_slots,
};

int avro_type_add(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &Avro_spec, NULL);

    if (type == NULL)
        return -1;
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}
