/* The type Plan: validates, decodes, cuts apart. Nothing here parses. */
#include "plan_type.h"

/* From here on a validation is long enough to let other threads run meanwhile (tens of
 * microseconds); below, handing the GIL over costs more than it gives. */
#define RELEASE_AT_BYTES ((size_t)64 * 1024)

static const char *const fault_names[] = {
    [FAULT_NONE] = "none",
    [FAULT_TRUNCATED] = "truncated",
    [FAULT_BEYOND_32_BITS] = "beyond_32_bits",
    [FAULT_BEYOND_64_BITS] = "beyond_64_bits",
    [FAULT_UNION_INDEX] = "union_index",
    [FAULT_NEGATIVE_LENGTH] = "negative_length",
    [FAULT_LENGTH] = "length",
    [FAULT_TOO_LONG] = "too_long",
    [FAULT_NOT_UTF8] = "not_utf8",
    [FAULT_OUT_OF_RANGE] = "out_of_range",
    [FAULT_LEFT_OVER] = "left_over",
};

const char *fault_name(enum fault fault) {
    return fault_names[fault];
}

PyObject *verdict_tuple(Py_ssize_t index, const struct verdict *verdict) {
    return Py_BuildValue("(nnsn)", index, (Py_ssize_t)verdict->offset, fault_name(verdict->fault),
                         (Py_ssize_t)verdict->column);
}

static void raise_malformed(PyObject *self, Py_ssize_t index, const struct verdict *verdict) {
    module_state *state = PyType_GetModuleState(Py_TYPE(self));
    PyObject *arguments = state ? verdict_tuple(index, verdict) : NULL;

    if (arguments != NULL) {
        PyErr_SetObject(state->malformed, arguments);
        Py_DECREF(arguments);
    }
}

const struct plan *plan_of(const module_state *state, PyObject *object) {
    if (!PyObject_TypeCheck(object, state->plan_type)) {
        PyErr_Format(PyExc_TypeError, "a Plan is needed, not %s", Py_TYPE(object)->tp_name);
        return NULL;
    }
    return &((PlanObject *)object)->decoder.plan;
}

/* Plan(operations): a sequence of (name, base, nullable, low, high). */

static int plan_fill(struct decoder *decoder, PyObject *operations) {
    Py_ssize_t count = PyTuple_GET_SIZE(operations);

    if (count == 0) {
        PyErr_SetString(PyExc_ValueError, "a plan needs at least one column");
        return -1;
    }
    if (!plan_open(&decoder->plan, (size_t)count)) {
        PyErr_NoMemory();
        return -1;
    }
    decoder->keys = PyTuple_New(count);
    decoder->blank = PyDict_New();
    if (decoder->keys == NULL || decoder->blank == NULL)
        return -1;

    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name;
        const char *base;
        int nullable;
        long long low;
        long long high;
        PyObject *operation = PyTuple_GET_ITEM(operations, i);

        if (!PyTuple_Check(operation)) {
            PyErr_SetString(PyExc_TypeError, "an operation is a tuple");
            return -1;
        }
        if (!PyArg_ParseTuple(operation, "UspLL", &name, &base, &nullable, &low, &high))
            return -1;
        Py_INCREF(name);
        PyUnicode_InternInPlace(&name);
        PyTuple_SET_ITEM(decoder->keys, i, name);
        if (PyDict_SetItem(decoder->blank, name, Py_None) < 0)
            return -1;
        if (!plan_set(&decoder->plan, (size_t)i, base, nullable, low, high)) {
            PyErr_Format(PyExc_ValueError, "column %U: no such base type: %s", name, base);
            return -1;
        }
    }
    if (PyDict_GET_SIZE(decoder->blank) != count) {
        PyErr_SetString(PyExc_ValueError, "two columns of one name");
        return -1;
    }
    return 0;
}

static PyObject *Plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"operations", NULL};
    PyObject *given;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Plan", names, &given))
        return NULL;
    PyObject *operations = PySequence_Tuple(given);
    if (operations == NULL)
        return NULL;

    PlanObject *self = (PlanObject *)type->tp_alloc(type, 0); /* zeroed: safe to close as it is */
    if (self != NULL && plan_fill(&self->decoder, operations) < 0)
        Py_CLEAR(self);
    Py_DECREF(operations);
    return (PyObject *)self;
}

static void Plan_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    struct decoder *decoder = &((PlanObject *)self)->decoder;

    plan_close(&decoder->plan);
    Py_XDECREF(decoder->keys);
    Py_XDECREF(decoder->blank);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Plan.validate(frames) */

static PyObject *bad_frames(const struct frame *frames, size_t count, size_t bad) {
    PyObject *found = PyList_New((Py_ssize_t)bad);

    for (size_t i = 0, next = 0; found != NULL && next < bad && i < count; i++) {
        if (frames[i].verdict.fault == FAULT_NONE)
            continue;
        PyObject *item = verdict_tuple((Py_ssize_t)i, &frames[i].verdict);
        if (item == NULL)
            Py_CLEAR(found);
        else
            PyList_SET_ITEM(found, (Py_ssize_t)next++, item);
    }
    return found;
}

static PyObject *Plan_validate(PyObject *self, PyObject *given) {
    const struct plan *plan = &((PlanObject *)self)->decoder.plan;
    PyObject *found = NULL;
    size_t total = 0;
    size_t bad;

    /* A tuple of our own keeps the frames alive while the GIL is away, whatever happens to the
     * caller's list; bytes objects do not change. */
    PyObject *held = PySequence_Tuple(given);
    if (held == NULL)
        return NULL;
    size_t count = (size_t)PyTuple_GET_SIZE(held);
    struct frame *frames = PyMem_New(struct frame, count);
    if (frames == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *frame = PyTuple_GET_ITEM(held, (Py_ssize_t)i);
        if (!PyBytes_Check(frame)) {
            PyErr_Format(PyExc_TypeError, "frame %zu is no bytes object: %s", i,
                         Py_TYPE(frame)->tp_name);
            goto done;
        }
        frames[i].bytes.data = (const uint8_t *)PyBytes_AS_STRING(frame);
        frames[i].bytes.size = (size_t)PyBytes_GET_SIZE(frame);
        total += frames[i].bytes.size;
    }

    if (total < RELEASE_AT_BYTES)
        bad = walk_frames(plan, frames, count);
    else {
        Py_BEGIN_ALLOW_THREADS
        bad = walk_frames(plan, frames, count);
        Py_END_ALLOW_THREADS
    }
    found = bad_frames(frames, count, bad);

done:
    PyMem_Free(frames);
    Py_DECREF(held);
    return found;
}

/* Plan.decode(payload, count), Plan.split(payload, count) */

typedef PyObject *(*take_record)(const struct decoder *, struct reader *, struct verdict *);

/* The size of the last record is where bytes left over begin, as in `validate`. */
static void raise_left_over(PyObject *self, Py_ssize_t count, const uint8_t *last,
                            const struct reader *reader) {
    struct verdict verdict = {FAULT_LEFT_OVER, (size_t)(reader->cursor - last),
                              ((PlanObject *)self)->decoder.plan.count};
    raise_malformed(self, count ? count - 1 : 0, &verdict);
}

static PyObject *each_record(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             take_record take) {
    const struct decoder *decoder = &((PlanObject *)self)->decoder;

    if (nargs != 2 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a payload (bytes) and a count of records are needed");
        return NULL;
    }
    Py_ssize_t count = PyLong_AsSsize_t(args[1]);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    if (count < 0) {
        PyErr_SetString(PyExc_ValueError, "a count of records is not negative");
        return NULL;
    }

    struct reader reader = reader_over((const uint8_t *)PyBytes_AS_STRING(args[0]),
                                       (size_t)PyBytes_GET_SIZE(args[0]));
    /* A count that the payload cannot hold fails below, before its memory is asked for. */
    size_t possible = reader_left(&reader) / decoder->plan.least;
    PyObject *records = PyList_New((size_t)count < possible ? count : (Py_ssize_t)possible);
    if (records == NULL)
        return NULL;

    const uint8_t *last = reader.cursor;
    for (Py_ssize_t i = 0; i < count; i++) {
        struct verdict verdict = {.fault = FAULT_NONE};
        last = reader.cursor;
        PyObject *record = take(decoder, &reader, &verdict);
        if (record == NULL) {
            if (verdict.fault != FAULT_NONE)
                raise_malformed(self, i, &verdict);
            goto fail;
        }
        PyList_SET_ITEM(records, i, record); /* within: each took at least `least` bytes */
    }
    if (reader_left(&reader) != 0) {
        raise_left_over(self, count, last, &reader);
        goto fail;
    }
    return records;

fail:
    Py_DECREF(records);
    return NULL;
}

static PyObject *Plan_decode(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    return each_record(self, args, nargs, decode_record);
}

static PyObject *Plan_split(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    return each_record(self, args, nargs, decode_slice);
}

static PyMethodDef Plan_methods[] = {
    {"validate", Plan_validate, METH_O, "Walk frames of one record each; list the bad ones."},
    {"decode", (PyCFunction)(void (*)(void))Plan_decode, METH_FASTCALL,
     "Make dicts of the records in a payload."},
    {"split", (PyCFunction)(void (*)(void))Plan_split, METH_FASTCALL,
     "Cut a payload into its records."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Plan_slots[] = {
    {Py_tp_doc, "A table's record layout, compiled."},
    {Py_tp_new, Plan_new},
    {Py_tp_dealloc, Plan_dealloc},
    {Py_tp_methods, Plan_methods},
    {0, NULL},
};

static PyType_Spec Plan_spec = {
    .name = "bridge.codec._native.Plan",
    .basicsize = sizeof(PlanObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Plan_slots,
};

int plan_type_add(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &Plan_spec, NULL);

    if (type == NULL)
        return -1;
    state->plan_type = (PyTypeObject *)type;
    return PyModule_AddType(module, state->plan_type);
}
