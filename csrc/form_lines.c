/* Form.lines(payload, count, template, first, times, key_before, key_after): takes arguments and
 * gives results; `transcode` does the work.
 *
 * Lines and keys are written straight into bytes objects, which grow as they are needed: for
 * that moment alone the GIL is taken back.
 */
#include "form_type.h"
#include "moment.h"
#include "plan_type.h"
#include "transcode.h"

/* What a buffer may be given at first for each byte of the payload, whose count nobody has
 * checked; from there it grows by what is really written. */
#define FIRST_BYTES ((size_t)4 * 1024)
#define FIRST_TIMES 8

/* A bytes object that is written like any `out`; `away` is the thread's state while the GIL is
 * not ours. */
struct bytes_out {
    struct out out;
    PyObject *bytes;
    PyThreadState **away;
};

static bool bytes_grow(struct out *out, size_t capacity) {
    struct bytes_out *self = (struct bytes_out *)out; /* its first member */
    bool released = *self->away != NULL;

    if (capacity > PY_SSIZE_T_MAX)
        return false;
    if (released)
        PyEval_RestoreThread(*self->away);
    int failed = _PyBytes_Resize(&self->bytes, (Py_ssize_t)capacity); /* then `bytes` is NULL */
    if (!failed) {
        out->data = (uint8_t *)PyBytes_AS_STRING(self->bytes);
        out->capacity = capacity;
    }
    if (released)
        *self->away = PyEval_SaveThread();
    return !failed;
}

static bool bytes_open(struct bytes_out *self, size_t capacity, PyThreadState **away) {
    *self = (struct bytes_out){.out = {.grow = bytes_grow}, .away = away};
    self->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)capacity);
    if (self->bytes == NULL)
        return false;
    self->out.data = (uint8_t *)PyBytes_AS_STRING(self->bytes);
    self->out.capacity = capacity;
    return true;
}

/* One call's work, in the order of what is taken. Zeroed, it may be closed. */
struct job {
    struct payload payload;
    PyObject *held; /* the template, whose text is used without the GIL */
    struct piece *pieces;
    size_t piece_count;
    size_t text; /* bytes of the template's text */
    struct span key_before, key_after;
    struct run *runs;
    uint64_t first;
    struct bytes_out lines, keys;
    PyObject *ends, *key_ends;
    PyThreadState *away;
};

static void job_close(struct job *job) {
    Py_XDECREF(job->held);
    PyMem_Free(job->pieces);
    PyMem_Free(job->runs);
    Py_XDECREF(job->lines.bytes);
    Py_XDECREF(job->keys.bytes);
    Py_XDECREF(job->ends);
    Py_XDECREF(job->key_ends);
}

static bool take_template(const FormObject *self, PyObject *template, struct job *job) {
    job->held = PySequence_Tuple(template);
    if (job->held == NULL)
        return false;
    job->piece_count = (size_t)PyTuple_GET_SIZE(job->held);
    job->pieces = PyMem_New(struct piece, job->piece_count);
    if (job->pieces == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t i = 0; i < job->piece_count; i++) {
        PyObject *given = PyTuple_GET_ITEM(job->held, (Py_ssize_t)i);
        struct piece *piece = &job->pieces[i];
        if (PyBytes_Check(given)) {
            piece->slot = SLOT_TEXT;
            piece->text.data = (const uint8_t *)PyBytes_AS_STRING(given);
            piece->text.size = (size_t)PyBytes_GET_SIZE(given);
            job->text += piece->text.size;
            continue;
        }
        if (!PyLong_Check(given)) {
            PyErr_Format(PyExc_TypeError, "a template has bytes and slots, not %s",
                         Py_TYPE(given)->tp_name);
            return false;
        }
        long slot = PyLong_AsLong(given);
        if (slot == -1 && PyErr_Occurred())
            return false;
        if (slot < 0 || slot >= SLOT_COUNT) {
            PyErr_Format(PyExc_ValueError, "no slot %ld", slot);
            return false;
        }
        if ((slot == SLOT_KEY || slot == SLOT_KEY_TEXT) && !self->keyed) {
            PyErr_SetString(PyExc_ValueError, "the form has no key");
            return false;
        }
        *piece = (struct piece){.slot = (enum slot)slot};
    }
    return true;
}

/* Text that the caller's arguments keep alive. */
static bool take_text(PyObject *given, struct span *text) {
    if (!PyBytes_Check(given)) {
        PyErr_Format(PyExc_TypeError, "around a key stand bytes, not %s", Py_TYPE(given)->tp_name);
        return false;
    }
    text->data = (const uint8_t *)PyBytes_AS_STRING(given);
    text->size = (size_t)PyBytes_GET_SIZE(given);
    return true;
}

static bool take_run(PyObject *given, struct run *run) {
    if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) != 2) {
        PyErr_SetString(PyExc_TypeError, "a run is a tuple of records and their time");
        return false;
    }
    long long records = PyLong_AsLongLong(PyTuple_GET_ITEM(given, 0));
    if (records == -1 && PyErr_Occurred())
        return false;
    long long time = PyLong_AsLongLong(PyTuple_GET_ITEM(given, 1));
    if (time == -1 && PyErr_Occurred())
        return false;
    *run = (struct run){(uint64_t)records, time};
    return true;
}

static bool take_runs(PyObject *times, struct job *job) {
    uint64_t left = job->payload.count;
    bool outside = false;
    PyObject *held = PySequence_Tuple(times);

    if (held == NULL)
        return false;
    size_t count = (size_t)PyTuple_GET_SIZE(held);
    job->runs = PyMem_New(struct run, count);
    bool good = job->runs != NULL;
    if (!good)
        PyErr_NoMemory();
    for (size_t i = 0; good && i < count; i++) {
        good = take_run(PyTuple_GET_ITEM(held, (Py_ssize_t)i), &job->runs[i]);
        if (good && job->runs[i].records > left) { /* a negative one too, as it is unsigned */
            left = 1;
            break;
        }
        outside |= good && !moment_has_us(job->runs[i].time);
        left -= good ? job->runs[i].records : 0;
    }
    Py_DECREF(held);
    if (good && left != 0)
        PyErr_Format(PyExc_ValueError, "times of other than %zu records", job->payload.count);
    else if (good && outside)
        PyErr_SetString(PyExc_ValueError, "a time out of the years 0001 to 9999");
    return good && left == 0 && !outside;
}

/* Of what the records' frames, `each` bytes, and the payload itself will at least come to. */
static size_t at_first(const struct job *job, size_t each) {
    size_t limit = FIRST_BYTES + FIRST_TIMES * job->payload.size;
    size_t wanted = FIRST_BYTES + job->payload.size;

    if (job->payload.possible != 0 && each > (limit - wanted) / job->payload.possible)
        return limit;
    return wanted + each * job->payload.possible;
}

/* A little more than the last call would have needed for this payload. */
static size_t lines_at_first(const FormObject *self, const struct job *job) {
    size_t size = job->payload.size;

    if (self->growth == 0 || self->growth / 256 >= FIRST_TIMES)
        return at_first(job, self->heads + job->text + 48);
    return FIRST_BYTES + size / 256 * (self->growth + self->growth / 32 + 1);
}

/* Cut a buffer to what was written; false with an exception. A small rest stays, unseen: giving
 * it back would leave the allocator with a size that is never asked for again, and every call
 * with fresh pages, which cost as much as all the writing. */
static bool bytes_close(struct bytes_out *self) {
    size_t size = self->out.size;

    if (size == 0 || self->out.capacity - size > size / 8)
        return _PyBytes_Resize(&self->bytes, (Py_ssize_t)size) == 0;
    self->out.data[size] = 0; /* behind a bytes object's last byte stands a zero; there is room */
    Py_SET_SIZE(self->bytes, (Py_ssize_t)size);
    return true;
}

static bool take_arguments(const FormObject *self, PyObject *const *args, Py_ssize_t nargs,
                           struct job *job) {
    const struct plan *plan = &((PlanObject *)self->plan)->decoder.plan;

    if (nargs != 7) {
        PyErr_SetString(PyExc_TypeError, "payload, count, template, first, times and what stands "
                                         "around a key are needed");
        return false;
    }
    if (!payload_take(plan, args[0], args[1], &job->payload) ||
        !take_template(self, args[2], job))
        return false;
    long long first = PyLong_AsLongLong(args[3]);
    if (first == -1 && PyErr_Occurred())
        return false;
    if (first < 0 || job->payload.count > (uint64_t)(INT64_MAX - first)) {
        PyErr_SetString(PyExc_ValueError, "offsets have 63 bits");
        return false;
    }
    job->first = (uint64_t)first;
    if (!take_runs(args[4], job) || !take_text(args[5], &job->key_before) ||
        !take_text(args[6], &job->key_after))
        return false;

    Py_ssize_t ends = (Py_ssize_t)(job->payload.possible * sizeof(uint64_t));
    job->ends = PyBytes_FromStringAndSize(NULL, ends);
    if (job->ends == NULL ||
        !bytes_open(&job->lines, lines_at_first(self, job), &job->away))
        return false;
    if (!self->keyed)
        return true;
    job->key_ends = PyBytes_FromStringAndSize(NULL, ends);
    size_t each = self->key_heads + job->key_before.size + job->key_after.size;
    return job->key_ends != NULL && bytes_open(&job->keys, at_first(job, each), &job->away);
}

static uint64_t *numbers_of(PyObject *bytes) {
    /* What a bytes object holds is aligned like its header's last member, a word. */
    return bytes ? (uint64_t *)(void *)PyBytes_AS_STRING(bytes) : NULL;
}

/* Do the work; false with an exception. */
static bool run_job(const FormObject *self, const module_state *state, struct job *job) {
    const struct plan *plan = &((PlanObject *)self->plan)->decoder.plan;
    const struct transcoding work = {
        .plan = plan,
        .record = &self->record,
        .key = self->keyed ? &self->key : NULL,
        .key_before = job->key_before,
        .key_after = job->key_after,
        .pieces = job->pieces,
        .piece_count = job->piece_count,
        .runs = job->runs,
        .first = job->first,
        .count = job->payload.count,
        .lines = &job->lines.out,
        .keys = &job->keys.out,
        .ends = numbers_of(job->ends),
        .key_ends = numbers_of(job->key_ends),
    };
    struct transcoded done;

    if (job->payload.size < RELEASE_AT_BYTES)
        done = transcode(&work, &job->payload.reader);
    else {
        job->away = PyEval_SaveThread();
        done = transcode(&work, &job->payload.reader);
        PyEval_RestoreThread(job->away);
        job->away = NULL;
    }
    if (done.memory_short) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return false;
    }
    if (done.verdict.fault != FAULT_NONE) {
        raise_malformed(state, (Py_ssize_t)done.records, &done.verdict);
        return false;
    }
    return payload_used_up(state, plan, &job->payload, done.last);
}

PyObject *form_lines(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    FormObject *self = (FormObject *)object;
    const module_state *state = PyType_GetModuleState(Py_TYPE(object));
    struct job job = {0};
    PyObject *result = NULL;

    if (take_arguments(self, args, nargs, &job) && run_job(self, state, &job)) {
        if (job.payload.size >= RELEASE_AT_BYTES)
            self->growth = job.lines.out.size / (job.payload.size / 256);
        if (bytes_close(&job.lines) && (!self->keyed || bytes_close(&job.keys)))
            result = self->keyed ? PyTuple_Pack(4, job.lines.bytes, job.ends, job.keys.bytes,
                                                job.key_ends)
                                 : PyTuple_Pack(4, job.lines.bytes, job.ends, Py_None, Py_None);
    }
    job_close(&job);
    return result;
}
