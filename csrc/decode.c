#include "decode.h"

#include "column.h"
#include "utf8.h"

static PyObject *text_value(struct reader *reader, struct span text) {
    PyObject *value = PyUnicode_DecodeUTF8((const char *)text.data, (Py_ssize_t)text.size, NULL);

    if (value == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        const uint8_t *bad = utf8_first_bad(text.data, text.size);
        PyErr_Clear();
        /* Both decoders are strict, so there is one; the start of the text if they ever differ. */
        reader_fail(reader, FAULT_NOT_UTF8, bad ? bad : text.data);
    }
    return value;
}

static PyObject *value_of(struct reader *reader, const struct operation *operation) {
    switch (operation->base) {
    case BASE_INT:
    case BASE_LONG: {
        int64_t value = column_number(reader, operation);
        return reader->fault == FAULT_NONE ? PyLong_FromLongLong(value) : NULL;
    }
    case BASE_FLOAT: {
        float value = column_float(reader);
        return reader->fault == FAULT_NONE ? PyFloat_FromDouble((double)value) : NULL;
    }
    case BASE_DOUBLE: {
        double value = column_double(reader);
        return reader->fault == FAULT_NONE ? PyFloat_FromDouble(value) : NULL;
    }
    case BASE_STRING: {
        struct span text = column_span(reader, operation);
        return reader->fault == FAULT_NONE ? text_value(reader, text) : NULL;
    }
    case BASE_BYTES: {
        struct span bytes = column_span(reader, operation);
        if (reader->fault != FAULT_NONE)
            return NULL;
        return PyBytes_FromStringAndSize((const char *)bytes.data, (Py_ssize_t)bytes.size);
    }
    }
    Py_UNREACHABLE();
}

PyObject *decode_value(struct reader *reader, const struct operation *operation) {
    if (!column_present(reader, operation))
        return reader->fault == FAULT_NONE ? Py_NewRef(Py_None) : NULL;
    return value_of(reader, operation);
}

PyObject *decode_record(const struct decoder *decoder, struct reader *reader,
                        struct verdict *verdict) {
    const uint8_t *first = reader->cursor;
    PyObject *record = PyDict_Copy(decoder->blank);

    if (record == NULL)
        return NULL;
    for (size_t i = 0; i < decoder->plan.count; i++) {
        const struct operation *operation = &decoder->plan.operations[i];
        if (column_present(reader, operation)) {
            PyObject *value = value_of(reader, operation);
            if (value != NULL) {
                PyObject *key = PyTuple_GET_ITEM(decoder->keys, (Py_ssize_t)i);
                int failed = PyDict_SetItem(record, key, value);
                Py_DECREF(value);
                if (failed)
                    goto fail;
            } else if (reader->fault == FAULT_NONE)
                goto fail;
        }
        if (reader->fault != FAULT_NONE) {
            *verdict = (struct verdict){reader->fault, (size_t)(reader->fault_at - first), i};
            goto fail;
        }
    }
    return record;

fail:
    Py_DECREF(record);
    return NULL;
}
