#include "receive_type.h"

#include <dlfcn.h>
#include <string.h>

#include "plan_type.h"
#include "receive.h"

/* libzmq's functions, once `Receiver.load` has found them. Written with the GIL held, once. */
static struct zmq_calls zmq;
static bool loaded;

typedef struct {
    PyObject_HEAD
    struct receiver receiver;
    bool busy; /* within a drain, which lets go of the GIL */
} ReceiverObject;

/* What a topic holds for Python: the plan keeps its layout alive. */
struct owner {
    PyObject *plan;
    PyObject *route;
};

static void owner_free(struct owner *owner) {
    Py_DECREF(owner->plan);
    Py_DECREF(owner->route);
    PyMem_Free(owner);
}

static int idle(ReceiverObject *self) {
    if (!self->busy)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "a Receiver is used by one thread");
    return 0;
}

/* Receiver.load(path) */

static int find(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);

    if (found == NULL) {
        PyErr_Format(PyExc_OSError, "no %s in this libzmq", name);
        return 0;
    }
    memcpy(function, &found, sizeof found); /* ISO C knows no cast from data to function */
    return 1;
}

static PyObject *Receiver_load(PyObject *Py_UNUSED(type), PyObject *given) {
    struct zmq_calls calls;
    PyObject *path;

    if (!PyUnicode_FSConverter(given, &path))
        return NULL;
    /* Only where it is loaded already: two libraries would not know each other's sockets. */
    void *library = dlopen(PyBytes_AS_STRING(path), RTLD_LAZY | RTLD_NOLOAD);
    Py_DECREF(path);
    if (library == NULL) {
        PyErr_SetString(PyExc_OSError, "this libzmq is not loaded in the process");
        return NULL;
    }
    if (!find(library, "zmq_msg_init", &calls.msg_init) ||
        !find(library, "zmq_msg_recv", &calls.msg_recv) ||
        !find(library, "zmq_msg_close", &calls.msg_close) ||
        !find(library, "zmq_msg_data", &calls.msg_data) ||
        !find(library, "zmq_msg_size", &calls.msg_size) ||
        !find(library, "zmq_msg_more", &calls.msg_more) ||
        !find(library, "zmq_errno", &calls.error)) {
        dlclose(library);
        return NULL;
    }
    zmq = calls; /* the library stays open: its sockets outlive every Receiver */
    loaded = true;
    Py_RETURN_NONE;
}

/* Receiver.add(topic, plan, route, table), Receiver.remove(topic) */

static PyObject *Receiver_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Receiver", names))
        return NULL;
    ReceiverObject *self = (ReceiverObject *)type->tp_alloc(type, 0);
    if (self != NULL)
        receiver_open(&self->receiver);
    return (PyObject *)self;
}

static PyObject *Receiver_add(PyObject *object, PyObject *args) {
    ReceiverObject *self = (ReceiverObject *)object;
    module_state *state = PyType_GetModuleState(Py_TYPE(object));
    const uint8_t *name;
    Py_ssize_t size;
    Py_ssize_t table;
    PyObject *plan;
    PyObject *route;

    if (!PyArg_ParseTuple(args, "y#OOn:add", &name, &size, &plan, &route, &table) || !idle(self))
        return NULL;
    if (state == NULL)
        return NULL;
    const struct plan *layout = plan_of(state, plan);
    if (layout == NULL)
        return NULL;
    if (table < 0 || table > 0xffffff) {
        PyErr_SetString(PyExc_ValueError, "tables are counted from 0, and are not so many");
        return NULL;
    }
    if (receiver_find(&self->receiver, name, (size_t)size) != NULL) {
        PyErr_SetString(PyExc_ValueError, "the topic is there already");
        return NULL;
    }
    struct owner *owner = PyMem_New(struct owner, 1);
    if (owner == NULL)
        return PyErr_NoMemory();
    *owner = (struct owner){Py_NewRef(plan), Py_NewRef(route)};
    if (receiver_add(&self->receiver, name, (size_t)size, layout, (size_t)table, owner) == NULL) {
        owner_free(owner);
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *Receiver_remove(PyObject *object, PyObject *given) {
    ReceiverObject *self = (ReceiverObject *)object;
    char *name;
    Py_ssize_t size;

    if (PyBytes_AsStringAndSize(given, &name, &size) < 0 || !idle(self))
        return NULL;
    struct topic *topic = receiver_find(&self->receiver, (const uint8_t *)name, (size_t)size);
    if (topic == NULL)
        Py_RETURN_FALSE;
    struct owner *owner = topic->owner;
    receiver_remove(&self->receiver, topic);
    owner_free(owner); /* last, as it may run code of others */
    Py_RETURN_TRUE;
}

/* Receiver.drain(socket, bytes, messages, room) */

static PyObject *route_of(const struct topic *topic) {
    return ((struct owner *)topic->owner)->route;
}

static PyObject *arrival_tuple(const struct receiver *receiver, const struct arrival *arrival) {
    const char *bytes = (const char *)receiver_bytes(receiver, arrival);
    Py_ssize_t size = (Py_ssize_t)arrival->size;

    if (arrival->count != 0)
        return Py_BuildValue("(Oy#n)", route_of(arrival->topic), bytes, size,
                             (Py_ssize_t)arrival->count);
    return Py_BuildValue("(Oy#nsn)", route_of(arrival->topic), bytes, size,
                         (Py_ssize_t)arrival->verdict.offset, fault_name(arrival->verdict.fault),
                         (Py_ssize_t)arrival->verdict.column);
}

static PyObject *arrivals_list(const struct receiver *receiver) {
    PyObject *list = PyList_New((Py_ssize_t)receiver->arrival_count);

    for (size_t i = 0; list != NULL && i < receiver->arrival_count; i++) {
        PyObject *item = arrival_tuple(receiver, &receiver->arrivals[i]);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *losses_list(const struct receiver *receiver) {
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list != NULL && i < receiver->slots; i++) {
        const struct topic *topic = receiver->topics[i];
        if (topic == NULL || topic->lost_records == 0)
            continue;
        PyObject *item =
            Py_BuildValue("(Onnn)", route_of(topic), (Py_ssize_t)topic->lost_messages,
                          (Py_ssize_t)topic->lost_records, (Py_ssize_t)topic->lost_bytes);
        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *unknown_list(const struct receiver *receiver) {
    PyObject *list = PyList_New((Py_ssize_t)receiver->unknown_count);

    for (size_t i = 0; list != NULL && i < receiver->unknown_count; i++) {
        PyObject *name = PyBytes_FromStringAndSize((const char *)receiver->unknown[i].name,
                                                   (Py_ssize_t)receiver->unknown[i].size);
        if (name == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, name);
    }
    return list;
}

static PyObject *Receiver_drain(PyObject *object, PyObject *args) {
    ReceiverObject *self = (ReceiverObject *)object;
    struct receiver *receiver = &self->receiver;
    PyObject *address;
    Py_ssize_t bytes;
    Py_ssize_t messages;
    Py_ssize_t room;
    int error = 0;
    int more;

    if (!PyArg_ParseTuple(args, "Onnn:drain", &address, &bytes, &messages, &room) || !idle(self))
        return NULL;
    void *socket = PyLong_AsVoidPtr(address);
    if (socket == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "no socket");
        return NULL;
    }
    if (!loaded) {
        PyErr_SetString(PyExc_RuntimeError, "no libzmq: call load first");
        return NULL;
    }
    struct limits limits = {bytes > 0 ? (size_t)bytes : 0, messages > 0 ? (size_t)messages : 0,
                            room > 0 ? (size_t)room : 0};

    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    more = receiver_drain(receiver, &zmq, socket, &limits, &error);
    Py_END_ALLOW_THREADS
    self->busy = false;

    return Py_BuildValue("(NNNnnnOi)", arrivals_list(receiver), losses_list(receiver),
                         unknown_list(receiver), (Py_ssize_t)receiver->unknown_messages,
                         (Py_ssize_t)receiver->messages, (Py_ssize_t)receiver->bytes,
                         more > 0 ? Py_True : Py_False, more < 0 ? error : 0);
}

/* The type */

static int Receiver_traverse(PyObject *object, visitproc visit, void *arg) {
    struct receiver *receiver = &((ReceiverObject *)object)->receiver;

    Py_VISIT(Py_TYPE(object));
    for (size_t i = 0; i < receiver->slots; i++)
        if (receiver->topics[i] != NULL) {
            struct owner *owner = receiver->topics[i]->owner;
            Py_VISIT(owner->plan);
            Py_VISIT(owner->route);
        }
    return 0;
}

static int Receiver_clear(PyObject *object) {
    struct receiver *receiver = &((ReceiverObject *)object)->receiver;

    while (receiver->topic_count != 0) {
        size_t slot = 0;
        while (receiver->topics[slot] == NULL)
            slot++;
        struct owner *owner = receiver->topics[slot]->owner;
        receiver_remove(receiver, receiver->topics[slot]);
        owner_free(owner);
    }
    return 0;
}

static void Receiver_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    Receiver_clear(object);
    receiver_close(&((ReceiverObject *)object)->receiver);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef Receiver_methods[] = {
    {"load", Receiver_load, METH_O | METH_STATIC, "Find libzmq's functions in the process."},
    {"add", Receiver_add, METH_VARARGS, "Add a topic."},
    {"remove", Receiver_remove, METH_O, "Forget a topic; whether it was there."},
    {"drain", Receiver_drain, METH_VARARGS, "Receive what a socket has."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Receiver_slots[] = {
    {Py_tp_doc, "Drains SUB sockets into blocks. Used by one thread."},
    {Py_tp_new, Receiver_new},
    {Py_tp_dealloc, Receiver_dealloc},
    {Py_tp_traverse, Receiver_traverse},
    {Py_tp_clear, Receiver_clear},
    {Py_tp_methods, Receiver_methods},
    {0, NULL},
};

static PyType_Spec Receiver_spec = {
    .name = "bridge.codec._native.Receiver",
    .basicsize = sizeof(ReceiverObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Receiver_slots,
};

int receive_add(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &Receiver_spec, NULL);

    if (type == NULL)
        return -1;
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}
