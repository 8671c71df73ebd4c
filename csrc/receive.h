/* Multipart messages of a SUB socket into blocks: records of one topic, one after another.
 *
 * Needs no Python and links no libzmq: its functions come in a table of pointers. A *table* is
 * what topics belong to; the order of what arrived is kept within each table. A block of a topic
 * ends where another topic of its table, or a bad frame, comes. What finds no room is discarded
 * and counted for its topic. One pass ends at its limits, within a message if need be.
 */
#ifndef KINETICA_BRIDGE_RECEIVE_H
#define KINETICA_BRIDGE_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walk.h"

/* What a block, or a bad frame, is counted with beside its bytes: the Python objects around it. */
#define RECEIVE_ITEM_COST ((size_t)512)
/* What a part is counted with beside its bytes, so that empty ones end a pass as well. */
#define RECEIVE_PART_COST ((size_t)64)
/* Unknown topics that one pass remembers, and how much of each. */
#define RECEIVE_UNKNOWN 8
#define RECEIVE_UNKNOWN_SIZE 200

/* libzmq's message, whose size and alignment its header fixes. */
struct zmq_message {
    _Alignas(void *) unsigned char opaque[64];
};

struct zmq_calls {
    int (*msg_init)(struct zmq_message *);
    int (*msg_recv)(struct zmq_message *, void *socket, int flags);
    int (*msg_close)(struct zmq_message *);
    void *(*msg_data)(struct zmq_message *);
    size_t (*msg_size)(const struct zmq_message *);
    int (*msg_more)(const struct zmq_message *);
    int (*error)(void);
};

/* A topic and what is known of it. `owner` is its maker's. */
struct topic {
    uint8_t *name;
    size_t size;
    uint64_t hash;
    const struct plan *plan;
    size_t table;
    void *owner;
    size_t lost_messages; /* in this pass */
    size_t lost_records;
    size_t lost_bytes;
};

/* A block, or a bad frame: `count` is 0 and the verdict says why. Its bytes are those of its
 * table's buffer from `start` on. */
struct arrival {
    struct topic *topic;
    size_t start;
    size_t size;
    size_t count;
    struct verdict verdict;
};

/* The bytes of one table in this pass; grows, and is kept while it is small. */
struct table {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t open; /* one more than the index of the arrival that takes more records; 0: none */
    size_t pass;
};

struct unknown {
    uint8_t name[RECEIVE_UNKNOWN_SIZE];
    size_t size;
};

struct receiver {
    struct topic **topics; /* open addressing; `slots` is a power of two */
    size_t slots;
    size_t topic_count;
    struct table *tables;
    size_t table_count;

    /* Where it stands within a message, also between passes. */
    bool in_message;
    bool losing;
    struct topic *current; /* NULL: of an unknown topic */
    struct topic *last;    /* of the message before: mostly the same */

    /* One pass. */
    size_t pass;
    struct arrival *arrivals;
    size_t arrival_count;
    size_t arrival_capacity;
    size_t messages; /* begun, of known topics */
    size_t bytes;    /* of their frames, kept and lost */
    size_t cost;     /* of what is kept */
    size_t room;
    size_t spent;
    size_t unknown_messages;
    struct unknown unknown[RECEIVE_UNKNOWN];
    size_t unknown_count;
};

struct limits {
    size_t bytes;    /* a pass ends when it has looked at so much, */
    size_t messages; /* or has begun so many messages; */
    size_t room;     /* from here on it keeps nothing */
};

void receiver_open(struct receiver *receiver);
void receiver_close(struct receiver *receiver);

/* Add a topic, which is not there yet; the name is copied. NULL when memory is short. */
struct topic *receiver_add(struct receiver *receiver, const uint8_t *name, size_t size,
                           const struct plan *plan, size_t table, void *owner);
struct topic *receiver_find(struct receiver *receiver, const uint8_t *name, size_t size);
/* Forget a topic that is there. */
void receiver_remove(struct receiver *receiver, struct topic *topic);

/* Forget what the last pass found, and begin another. */
void receiver_begin(struct receiver *receiver, const struct limits *limits);
/* Take one part of a message, its topic first. The bytes are copied. */
void receiver_part(struct receiver *receiver, const uint8_t *data, size_t size, bool more);

/* Receive until the socket has nothing, or a limit is reached: 0, 1. Else -1 and `*error`. */
int receiver_drain(struct receiver *receiver, const struct zmq_calls *zmq, void *socket,
                   const struct limits *limits, int *error);

/* Where an arrival's bytes stand until the next pass begins; never NULL. */
const uint8_t *receiver_bytes(const struct receiver *receiver, const struct arrival *arrival);

#endif
