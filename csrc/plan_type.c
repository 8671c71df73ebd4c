/* The type Plan: joins, decodes, finds ends; what looks into columns is in `plan_columns`. Nothing
 * here parses. */
#include "plan_type.h"

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

void raise_malformed(const module_state *state, Py_ssize_t index, const struct verdict *verdict) {
    PyObject *arguments = verdict_tuple(index, verdict);

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

/* Plan.join(frames) */

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

/* The bytes of a tuple of frames; false with an exception. */
static bool frames_take(PyObject *held, struct frame *frames, size_t *total) {
    *total = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(held); i++) {
        PyObject *frame = PyTuple_GET_ITEM(held, i);
        if (!PyBytes_Check(frame)) {
            PyErr_Format(PyExc_TypeError, "frame %zd is no bytes object: %s", i,
                         Py_TYPE(frame)->tp_name);
            return false;
        }
        frames[i].bytes.data = (const uint8_t *)PyBytes_AS_STRING(frame);
        frames[i].bytes.size = (size_t)PyBytes_GET_SIZE(frame);
        *total += frames[i].bytes.size;
    }
    return true;
}

/* Walk, and put the good ones one after another; returns how many are bad. */
static size_t join_frames(const struct plan *plan, struct frame *frames, size_t count,
                          uint8_t *payload, size_t *size) {
    size_t bad = walk_frames(plan, frames, count);

    *size = 0;
    for (size_t i = 0; i < count; i++)
        if (frames[i].verdict.fault == FAULT_NONE) { /* then it has a byte at least */
            memcpy(payload + *size, frames[i].bytes.data, frames[i].bytes.size);
            *size += frames[i].bytes.size;
        }
    return bad;
}

static PyObject *Plan_join(PyObject *self, PyObject *given) {
    const struct plan *plan = &((PlanObject *)self)->decoder.plan;
    PyObject *payload = NULL;
    PyObject *found = NULL;
    size_t total, size, bad;

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
    if (!frames_take(held, frames, &total))
        goto done;
    payload = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (payload == NULL)
        goto done;

    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(payload);
    if (total < RELEASE_AT_BYTES)
        bad = join_frames(plan, frames, count, at, &size);
    else {
        Py_BEGIN_ALLOW_THREADS
        bad = join_frames(plan, frames, count, at, &size);
        Py_END_ALLOW_THREADS
    }
    if (size == total || _PyBytes_Resize(&payload, (Py_ssize_t)size) == 0)
        found = bad_frames(frames, count, bad);

done:
    PyMem_Free(frames);
    Py_DECREF(held);
    if (found == NULL) {
        Py_XDECREF(payload);
        return NULL;
    }
    return Py_BuildValue("(NnN)", payload, (Py_ssize_t)(count - bad), found);
}

/* Payloads */

bool payload_take(const struct plan *plan, PyObject *payload, PyObject *count,
                  struct payload *taken) {
    if (!PyBytes_Check(payload)) {
        PyErr_Format(PyExc_TypeError, "a payload is a bytes object, not %s",
                     Py_TYPE(payload)->tp_name);
        return false;
    }
    Py_ssize_t number = PyLong_AsSsize_t(count);
    if (number == -1 && PyErr_Occurred())
        return false;
    if (number < 0) {
        PyErr_SetString(PyExc_ValueError, "a count of records is not negative");
        return false;
    }
    taken->size = (size_t)PyBytes_GET_SIZE(payload);
    taken->reader = reader_over((const uint8_t *)PyBytes_AS_STRING(payload), taken->size);
    taken->count = (size_t)number;
    /* A count that the payload cannot hold fails later, before its memory is asked for. */
    taken->possible = taken->size / plan->least;
    if (taken->possible > taken->count)
        taken->possible = taken->count;
    return true;
}

bool payload_used_up(const module_state *state, const struct plan *plan,
                     const struct payload *payload, const uint8_t *last) {
    if (reader_left(&payload->reader) == 0)
        return true;
    /* The size of the last record is where bytes left over begin, as in `join`. */
    struct verdict verdict = {FAULT_LEFT_OVER, (size_t)(payload->reader.cursor - last),
                              plan->count};
    raise_malformed(state, payload->count ? (Py_ssize_t)payload->count - 1 : 0, &verdict);
    return false;
}

bool plan_arguments(PyObject *self, PyObject *const *args, Py_ssize_t given,
                           Py_ssize_t wanted, struct payload *payload) {
    if (given != wanted) {
        PyErr_Format(PyExc_TypeError, "%zd arguments are needed", wanted);
        return false;
    }
    return payload_take(&((PlanObject *)self)->decoder.plan, args[0], args[1], payload);
}

/* Plan.decode(payload, count) */

static PyObject *Plan_decode(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    const struct decoder *decoder = &((PlanObject *)self)->decoder;
    const module_state *state = PyType_GetModuleState(Py_TYPE(self));
    struct payload payload;

    if (!plan_arguments(self, args, nargs, 2, &payload))
        return NULL;
    PyObject *records = PyList_New((Py_ssize_t)payload.possible);
    if (records == NULL)
        return NULL;

    const uint8_t *last = payload.reader.cursor;
    for (size_t i = 0; i < payload.count; i++) {
        struct verdict verdict = {.fault = FAULT_NONE};
        last = payload.reader.cursor;
        PyObject *record = decode_record(decoder, &payload.reader, &verdict);
        if (record == NULL) {
            if (verdict.fault != FAULT_NONE)
                raise_malformed(state, (Py_ssize_t)i, &verdict);
            goto fail;
        }
        /* Within: each took at least `least` bytes. */
        PyList_SET_ITEM(records, (Py_ssize_t)i, record);
    }
    if (payload_used_up(state, &decoder->plan, &payload, last))
        return records;

fail:
    Py_DECREF(records);
    return NULL;
}

/* Plan.ends(payload, count) */

static size_t walk_payload(const struct plan *plan, struct payload *payload, uint64_t *ends,
                           const uint8_t **last, struct verdict *verdict) {
    struct reader *reader = &payload->reader;

    *verdict = (struct verdict){.fault = FAULT_NONE};
    for (size_t i = 0; i < payload->count; i++) {
        *last = reader->cursor;
        *verdict = walk_record(plan, reader);
        if (verdict->fault != FAULT_NONE)
            return i;
        ends[i] = (uint64_t)(reader->cursor - reader->start);
    }
    return payload->count;
}

static PyObject *Plan_ends(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    const struct plan *plan = &((PlanObject *)self)->decoder.plan;
    const module_state *state = PyType_GetModuleState(Py_TYPE(self));
    struct payload payload;
    struct verdict verdict;
    size_t walked;

    if (!plan_arguments(self, args, nargs, 2, &payload))
        return NULL;
    PyObject *ends =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(payload.possible * sizeof(uint64_t)));
    if (ends == NULL)
        return NULL;
    /* What a bytes object holds is aligned like its header's last member, a word. */
    uint64_t *numbers = (uint64_t *)(void *)PyBytes_AS_STRING(ends);
    const uint8_t *last = payload.reader.cursor;
    if (payload.size < RELEASE_AT_BYTES)
        walked = walk_payload(plan, &payload, numbers, &last, &verdict);
    else {
        Py_BEGIN_ALLOW_THREADS
        walked = walk_payload(plan, &payload, numbers, &last, &verdict);
        Py_END_ALLOW_THREADS
    }
    if (verdict.fault != FAULT_NONE)
        raise_malformed(state, (Py_ssize_t)walked, &verdict);
    else if (payload_used_up(state, plan, &payload, last))
        return ends;
    Py_DECREF(ends);
    return NULL;
}

#define METHOD(function) (PyCFunction)(void (*)(void))function

static PyMethodDef Plan_methods[] = {
    {"join", Plan_join, METH_O, "Walk frames of one record each; join the good, list the bad."},
    {"decode", METHOD(Plan_decode), METH_FASTCALL, "Make dicts of the records in a payload."},
    {"ends", METHOD(Plan_ends), METH_FASTCALL, "Find where each record in a payload ends."},
    {"highest", METHOD(plan_highest), METH_FASTCALL, "Find a column's greatest value."},
    {"lowest", METHOD(plan_lowest), METH_FASTCALL, "Find a column's least value."},
    {"digests", METHOD(plan_digests), METH_FASTCALL, "Find a number for each record."},
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
