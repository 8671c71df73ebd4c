/* The type Plan: joins, decodes, finds ends, the highest, digests. Nothing here parses. */
#include "plan_type.h"

#include "digest.h"
#include "highest.h"

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

static bool plan_arguments(PyObject *self, PyObject *const *args, Py_ssize_t given,
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

/* Plan.highest(payload, count, place, order), Plan.lowest(likewise) */

/* Read the last two arguments; false with an exception set where they name no ordered column. */
static bool ordered_column(const struct plan *plan, PyObject *const *args, size_t *column,
                           enum order *order) {
    *column = PyLong_AsSize_t(args[2]);
    const char *name = PyErr_Occurred() ? NULL : PyUnicode_AsUTF8(args[3]);

    if (name == NULL)
        return false;
    if (*column < plan->count && order_of(name, plan->operations[*column].base, order))
        return true;
    PyErr_Format(PyExc_ValueError, "no column %zu in order %s", *column, name);
    return false;
}

static PyObject *highest_value(const struct plan *plan, const struct payload *payload,
                               const struct highest *highest, size_t column,
                               const struct out *indices) {
    struct reader reader =
        reader_over(highest->value, (size_t)(payload->reader.cursor - highest->value));
    size_t count = indices->size / sizeof(uint64_t);
    PyObject *value = decode_value(&reader, &plan->operations[column]);
    PyObject *places = value ? PyList_New((Py_ssize_t)count) : NULL;

    for (size_t i = 0; places != NULL && i < count; i++) {
        uint64_t index;
        memcpy(&index, indices->data + i * sizeof index, sizeof index);
        PyObject *place = PyLong_FromUnsignedLongLong(index);
        if (place == NULL)
            Py_CLEAR(places);
        else
            PyList_SET_ITEM(places, (Py_ssize_t)i, place);
    }
    if (places == NULL) {
        Py_XDECREF(value);
        return NULL;
    }
    return Py_BuildValue("(NN)", value, places);
}

static PyObject *Plan_highest(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    const struct plan *plan = &((PlanObject *)self)->decoder.plan;
    const module_state *state = PyType_GetModuleState(Py_TYPE(self));
    struct out indices = {.grow = out_grow};
    struct payload payload;
    struct highest highest;
    size_t column;
    enum order order;
    PyObject *result = NULL;

    if (!plan_arguments(self, args, nargs, 4, &payload) ||
        !ordered_column(plan, args, &column, &order))
        return NULL;
    if (payload.size < RELEASE_AT_BYTES)
        highest = find_highest(plan, &payload.reader, payload.count, column, order, &indices);
    else {
        Py_BEGIN_ALLOW_THREADS
        highest = find_highest(plan, &payload.reader, payload.count, column, order, &indices);
        Py_END_ALLOW_THREADS
    }
    if (indices.failed)
        PyErr_NoMemory();
    else if (highest.verdict.fault != FAULT_NONE)
        raise_malformed(state, (Py_ssize_t)highest.records, &highest.verdict);
    else if (payload_used_up(state, plan, &payload, highest.record))
        result = highest.value ? highest_value(plan, &payload, &highest, column, &indices)
                               : Py_NewRef(Py_None);
    free(indices.data);
    return result;
}

static PyObject *Plan_lowest(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    const struct plan *plan = &((PlanObject *)self)->decoder.plan;
    const module_state *state = PyType_GetModuleState(Py_TYPE(self));
    struct payload payload;
    struct lowest lowest;
    size_t column;
    enum order order;

    if (!plan_arguments(self, args, nargs, 4, &payload) ||
        !ordered_column(plan, args, &column, &order))
        return NULL;
    if (payload.size < RELEASE_AT_BYTES)
        lowest = find_lowest(plan, &payload.reader, payload.count, column, order);
    else {
        Py_BEGIN_ALLOW_THREADS
        lowest = find_lowest(plan, &payload.reader, payload.count, column, order);
        Py_END_ALLOW_THREADS
    }
    if (lowest.verdict.fault != FAULT_NONE) {
        raise_malformed(state, (Py_ssize_t)lowest.records, &lowest.verdict);
        return NULL;
    }
    if (!payload_used_up(state, plan, &payload, lowest.record))
        return NULL;
    if (lowest.value == NULL)
        Py_RETURN_NONE;
    struct reader reader =
        reader_over(lowest.value, (size_t)(payload.reader.cursor - lowest.value));
    PyObject *value = decode_value(&reader, &plan->operations[column]);
    return value ? Py_BuildValue("(NO)", value, lowest.nulls ? Py_True : Py_False) : NULL;
}

/* Plan.digests(payload, count, columns) */

static struct digest_column *digest_columns(const struct plan *plan, PyObject *given,
                                            Py_ssize_t *count) {
    if (!PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "columns are a tuple");
        return NULL;
    }
    *count = PyTuple_GET_SIZE(given);
    struct digest_column *columns = PyMem_New(struct digest_column, *count);
    if (columns == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < *count; i++) {
        Py_ssize_t place;
        const char *form;
        PyObject *column = PyTuple_GET_ITEM(given, i);

        if (!PyTuple_Check(column) || !PyArg_ParseTuple(column, "ns", &place, &form)) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "a column is a tuple");
            PyMem_Free(columns);
            return NULL;
        }
        columns[i].place = (size_t)place;
        if (columns[i].place >= plan->count ||
            !digest_form_of(form, plan->operations[place].base, &columns[i].form)) {
            PyErr_Format(PyExc_ValueError, "no column %zd in form %s", place, form);
            PyMem_Free(columns);
            return NULL;
        }
    }
    return columns;
}

static PyObject *Plan_digests(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    const struct plan *plan = &((PlanObject *)self)->decoder.plan;
    const module_state *state = PyType_GetModuleState(Py_TYPE(self));
    struct out bytes = {.grow = out_grow};
    struct payload payload;
    struct digests found;
    Py_ssize_t column_count;
    PyObject *result = NULL;

    if (!plan_arguments(self, args, nargs, 3, &payload))
        return NULL;
    struct digest_column *columns = digest_columns(plan, args[2], &column_count);
    if (columns == NULL)
        return NULL;
    const uint8_t **starts = PyMem_New(const uint8_t *, plan->count);
    PyObject *numbers =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(payload.possible * sizeof(uint64_t)));
    if (starts == NULL || numbers == NULL || out_room(&bytes, 1) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    /* What a bytes object holds is aligned like its header's last member, a word. */
    uint64_t *written = (uint64_t *)(void *)PyBytes_AS_STRING(numbers);
    if (payload.size < RELEASE_AT_BYTES)
        found = find_digests(plan, &payload.reader, payload.count, columns, (size_t)column_count,
                             starts, &bytes, written);
    else {
        Py_BEGIN_ALLOW_THREADS
        found = find_digests(plan, &payload.reader, payload.count, columns, (size_t)column_count,
                             starts, &bytes, written);
        Py_END_ALLOW_THREADS
    }
    if (bytes.failed)
        PyErr_NoMemory();
    else if (found.verdict.fault != FAULT_NONE)
        raise_malformed(state, (Py_ssize_t)found.records, &found.verdict);
    else if (found.hard)
        result = Py_NewRef(Py_None);
    else if (payload_used_up(state, plan, &payload, found.record))
        result = Py_NewRef(numbers);

done:
    free(bytes.data);
    Py_XDECREF(numbers);
    PyMem_Free(starts);
    PyMem_Free(columns);
    return result;
}

#define METHOD(function) (PyCFunction)(void (*)(void))function

static PyMethodDef Plan_methods[] = {
    {"join", Plan_join, METH_O, "Walk frames of one record each; join the good, list the bad."},
    {"decode", METHOD(Plan_decode), METH_FASTCALL, "Make dicts of the records in a payload."},
    {"ends", METHOD(Plan_ends), METH_FASTCALL, "Find where each record in a payload ends."},
    {"highest", METHOD(Plan_highest), METH_FASTCALL, "Find a column's greatest value."},
    {"lowest", METHOD(Plan_lowest), METH_FASTCALL, "Find a column's least value."},
    {"digests", METHOD(Plan_digests), METH_FASTCALL, "Find a number for each record."},
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
