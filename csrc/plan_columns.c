/* The methods of Plan that look into columns: the greatest, the least, digests. */
#include "plan_type.h"

#include "digest.h"
#include "highest.h"

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

PyObject *plan_highest(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
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

PyObject *plan_lowest(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
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

PyObject *plan_digests(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
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
