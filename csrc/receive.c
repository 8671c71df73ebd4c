#include "receive.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DONT_WAIT 1 /* ZMQ_DONTWAIT */

/* Buffers up to here are kept from pass to pass: with many tables, all of them are small. */
#define KEPT_BYTES ((size_t)8 * 1024)
#define KEPT_ARRIVALS ((size_t)1024)

void receiver_open(struct receiver *receiver) {
    *receiver = (struct receiver){0};
}

static void topic_free(struct topic *topic) {
    free(topic->name);
    free(topic);
}

void receiver_close(struct receiver *receiver) {
    for (size_t i = 0; i < receiver->slots; i++)
        if (receiver->topics[i] != NULL)
            topic_free(receiver->topics[i]);
    for (size_t i = 0; i < receiver->table_count; i++)
        free(receiver->tables[i].data);
    free(receiver->topics);
    free(receiver->tables);
    free(receiver->arrivals);
    *receiver = (struct receiver){0};
}

/* Topics. Those looked for come from strangers, those in the table are ours: nobody can choose
 * names that collide there, so mixing well is enough. */

static uint64_t hash_of(const uint8_t *name, size_t size) {
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) ^ size;

    while (size != 0) {
        uint64_t word = 0;
        size_t step = size < sizeof word ? size : sizeof word;
        memcpy(&word, name, step);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        name += step;
        size -= step;
    }
    return hash;
}

static bool is_named(const struct topic *topic, const uint8_t *name, size_t size) {
    return topic->size == size && (size == 0 || memcmp(topic->name, name, size) == 0);
}

struct topic *receiver_find(struct receiver *receiver, const uint8_t *name, size_t size) {
    if (receiver->slots == 0)
        return NULL;
    uint64_t hash = hash_of(name, size);
    size_t slot = (size_t)hash & (receiver->slots - 1);

    for (struct topic *topic; (topic = receiver->topics[slot]) != NULL;
         slot = (slot + 1) & (receiver->slots - 1))
        if (topic->hash == hash && is_named(topic, name, size))
            return topic;
    return NULL;
}

static void put(struct topic **topics, size_t slots, struct topic *topic) {
    size_t slot = (size_t)topic->hash & (slots - 1);

    while (topics[slot] != NULL)
        slot = (slot + 1) & (slots - 1);
    topics[slot] = topic;
}

/* At most half full, so that a search ends. */
static bool grow_topics(struct receiver *receiver) {
    if ((receiver->topic_count + 1) * 2 <= receiver->slots)
        return true;
    size_t slots = receiver->slots ? receiver->slots * 2 : 16;
    struct topic **topics = calloc(slots, sizeof *topics);
    if (topics == NULL)
        return false;
    for (size_t i = 0; i < receiver->slots; i++)
        if (receiver->topics[i] != NULL)
            put(topics, slots, receiver->topics[i]);
    free(receiver->topics);
    receiver->topics = topics;
    receiver->slots = slots;
    return true;
}

static bool grow_tables(struct receiver *receiver, size_t table) {
    if (table < receiver->table_count)
        return true;
    size_t count = table + 1;
    if (count > SIZE_MAX / 2 / sizeof *receiver->tables)
        return false;
    struct table *tables = realloc(receiver->tables, count * sizeof *tables);
    if (tables == NULL)
        return false;
    memset(tables + receiver->table_count, 0, (count - receiver->table_count) * sizeof *tables);
    receiver->tables = tables;
    receiver->table_count = count;
    return true;
}

struct topic *receiver_add(struct receiver *receiver, const uint8_t *name, size_t size,
                           const struct plan *plan, size_t table, void *owner) {
    if (!grow_topics(receiver) || !grow_tables(receiver, table))
        return NULL;
    struct topic *topic = calloc(1, sizeof *topic);
    uint8_t *copy = malloc(size ? size : 1);
    if (topic == NULL || copy == NULL) {
        free(topic);
        free(copy);
        return NULL;
    }
    if (size != 0)
        memcpy(copy, name, size);
    *topic = (struct topic){.name = copy,
                            .size = size,
                            .hash = hash_of(name, size),
                            .plan = plan,
                            .table = table,
                            .owner = owner};
    put(receiver->topics, receiver->slots, topic);
    receiver->topic_count++;
    return topic;
}

void receiver_remove(struct receiver *receiver, struct topic *topic) {
    size_t mask = receiver->slots - 1;
    size_t slot = (size_t)topic->hash & mask;

    while (receiver->topics[slot] != topic)
        slot = (slot + 1) & mask;
    receiver->topics[slot] = NULL;
    receiver->topic_count--;
    /* Those behind it may have stood there for its sake. */
    for (slot = (slot + 1) & mask; receiver->topics[slot] != NULL; slot = (slot + 1) & mask) {
        struct topic *moved = receiver->topics[slot];
        receiver->topics[slot] = NULL;
        put(receiver->topics, receiver->slots, moved);
    }
    if (receiver->current == topic)
        receiver->current = NULL;
    if (receiver->last == topic)
        receiver->last = NULL;
    receiver->arrival_count = 0; /* some may point to it */
    topic_free(topic);
}

/* A pass. */

void receiver_begin(struct receiver *receiver, const struct limits *limits) {
    for (size_t i = 0; i < receiver->arrival_count; i++) {
        struct table *table = &receiver->tables[receiver->arrivals[i].topic->table];
        if (table->capacity > KEPT_BYTES) {
            free(table->data);
            *table = (struct table){0};
        }
    }
    if (receiver->arrival_capacity > KEPT_ARRIVALS) {
        free(receiver->arrivals);
        receiver->arrivals = NULL;
        receiver->arrival_capacity = 0;
    }
    for (size_t i = 0; i < receiver->slots; i++) {
        struct topic *topic = receiver->topics[i];
        if (topic != NULL)
            topic->lost_messages = topic->lost_records = topic->lost_bytes = 0;
    }
    receiver->pass++;
    receiver->arrival_count = 0;
    receiver->messages = receiver->bytes = receiver->cost = receiver->spent = 0;
    receiver->room = limits->room;
    receiver->unknown_messages = receiver->unknown_count = 0;
}

static struct table *table_of(struct receiver *receiver, const struct topic *topic) {
    struct table *table = &receiver->tables[topic->table];

    if (table->pass != receiver->pass) {
        table->pass = receiver->pass;
        table->size = table->open = 0;
    }
    return table;
}

/* Copy bytes behind those that a table has, without counting them yet. */
static bool copy_behind(struct table *table, const uint8_t *data, size_t size) {
    if (size > table->capacity - table->size) {
        if (size > SIZE_MAX / 4 - table->size)
            return false;
        size_t capacity = table->capacity ? table->capacity : 1024;
        while (capacity < table->size + size)
            capacity *= 2;
        uint8_t *grown = realloc(table->data, capacity);
        if (grown == NULL)
            return false;
        table->data = grown;
        table->capacity = capacity;
    }
    if (size != 0)
        memcpy(table->data + table->size, data, size);
    return true;
}

static struct arrival *arrive(struct receiver *receiver, struct topic *topic, size_t start) {
    if (receiver->arrival_count == receiver->arrival_capacity) {
        size_t capacity = receiver->arrival_capacity ? receiver->arrival_capacity * 2 : 64;
        if (capacity > SIZE_MAX / 2 / sizeof *receiver->arrivals)
            return NULL;
        struct arrival *grown = realloc(receiver->arrivals, capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        receiver->arrivals = grown;
        receiver->arrival_capacity = capacity;
    }
    struct arrival *arrival = &receiver->arrivals[receiver->arrival_count++];
    *arrival = (struct arrival){.topic = topic, .start = start};
    receiver->cost += RECEIVE_ITEM_COST;
    return arrival;
}

/* The block that takes the next record of a topic; NULL when memory is short. */
static struct arrival *block_of(struct receiver *receiver, struct topic *topic,
                                struct table *table) {
    if (table->open != 0) {
        struct arrival *open = &receiver->arrivals[table->open - 1];
        if (open->topic == topic)
            return open;
    }
    struct arrival *block = arrive(receiver, topic, table->size);
    table->open = block ? receiver->arrival_count : 0;
    return block;
}

/* Validate and copy a frame; false where there is no room for it. */
static bool keep(struct receiver *receiver, struct topic *topic, const uint8_t *data,
                 size_t size) {
    if (receiver->cost >= receiver->room)
        return false;
    struct table *table = table_of(receiver, topic);
    struct frame frame = {.bytes = {data, size}};

    walk_frames(topic->plan, &frame, 1);
    bool good = frame.verdict.fault == FAULT_NONE;
    if (!copy_behind(table, data, size))
        return false;
    struct arrival *arrival =
        good ? block_of(receiver, topic, table) : arrive(receiver, topic, table->size);
    if (arrival == NULL)
        return false;
    if (good)
        arrival->count++;
    else {
        arrival->verdict = frame.verdict;
        table->open = 0;
    }
    arrival->size += size;
    table->size += size;
    receiver->cost += size;
    return true;
}

static void take_frame(struct receiver *receiver, const uint8_t *data, size_t size) {
    struct topic *topic = receiver->current;

    if (topic == NULL)
        return;
    receiver->bytes += size;
    if (keep(receiver, topic, data, size))
        return;
    topic->lost_records++;
    topic->lost_bytes += size;
    if (!receiver->losing) {
        receiver->losing = true;
        topic->lost_messages++;
    }
}

static void take_topic(struct receiver *receiver, const uint8_t *name, size_t size) {
    struct topic *topic = receiver->last;

    if (topic == NULL || !is_named(topic, name, size))
        topic = receiver_find(receiver, name, size);
    receiver->current = topic;
    receiver->losing = false;
    if (topic != NULL) {
        receiver->last = topic;
        receiver->messages++;
        return;
    }
    receiver->unknown_messages++;
    if (receiver->unknown_count < RECEIVE_UNKNOWN) {
        struct unknown *unknown = &receiver->unknown[receiver->unknown_count++];
        unknown->size = size < RECEIVE_UNKNOWN_SIZE ? size : RECEIVE_UNKNOWN_SIZE;
        if (unknown->size != 0)
            memcpy(unknown->name, name, unknown->size);
    }
}

void receiver_part(struct receiver *receiver, const uint8_t *data, size_t size, bool more) {
    if (receiver->in_message)
        take_frame(receiver, data, size);
    else
        take_topic(receiver, data, size);
    receiver->spent += RECEIVE_PART_COST + (size < SIZE_MAX / 4 ? size : SIZE_MAX / 4);
    receiver->in_message = more;
}

int receiver_drain(struct receiver *receiver, const struct zmq_calls *zmq, void *socket,
                   const struct limits *limits, int *error) {
    struct zmq_message message;
    int result = 1;

    receiver_begin(receiver, limits);
    zmq->msg_init(&message);
    while (receiver->spent < limits->bytes &&
           (receiver->in_message ||
            receiver->messages + receiver->unknown_messages < limits->messages)) {
        int size = zmq->msg_recv(&message, socket, DONT_WAIT);
        if (size < 0) {
            *error = zmq->error();
            if (*error == EINTR)
                continue;
            result = *error == EAGAIN ? 0 : -1;
            receiver->in_message = false; /* messages arrive whole: nothing of it will come */
            break;
        }
        receiver_part(receiver, zmq->msg_data(&message),
                      size < INT_MAX ? (size_t)size : zmq->msg_size(&message),
                      zmq->msg_more(&message) != 0);
    }
    zmq->msg_close(&message);
    return result;
}

const uint8_t *receiver_bytes(const struct receiver *receiver, const struct arrival *arrival) {
    static const uint8_t nothing[1];
    const uint8_t *data = receiver->tables[arrival->topic->table].data;

    return data ? data + arrival->start : nothing; /* an empty bad frame needs no buffer */
}
