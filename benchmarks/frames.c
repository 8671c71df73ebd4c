/* Publishes and receives the benchmarks' records with libzmq alone, so that neither the
 * publisher nor the yardstick of receiving is Python's speed. Compiled and loaded by frames.py;
 * the sockets are pyzmq's. */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What is used of zmq.h, whose ABI has been stable since libzmq 4.0. */
typedef struct zmq_msg_t {
    unsigned char _[64];
} __attribute__((aligned(8))) zmq_msg_t;

int zmq_send(void *socket, const void *data, size_t size, int flags);
int zmq_msg_init(zmq_msg_t *message);
int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags);
int zmq_msg_close(zmq_msg_t *message);
int zmq_msg_more(const zmq_msg_t *message);
size_t zmq_msg_size(const zmq_msg_t *message);
void *zmq_msg_data(zmq_msg_t *message);
int zmq_errno(void);

enum { SNDMORE = 2, HIGHEST_PAD = 8192, RING = 1 << 22 };

static const char *const CITIES[] = {"Arlington", "Z\xc3\xbcrich", NULL, "Springfield"};
static const char *const STATES[] = {"placed", "shipped", "delivered"};

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static unsigned char *put_number(unsigned char *at, int64_t value)
{
    uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    for (; rest > 0x7f; rest >>= 7)
        *at++ = (unsigned char)(rest | 0x80);
    *at++ = (unsigned char)rest;
    return at;
}

static unsigned char *put_text(unsigned char *at, const char *text, size_t pad)
{
    size_t length = strlen(text);
    at = put_number(at, (int64_t)(length + pad));
    memcpy(at, text, length);
    memset(at + length, 'x', pad);
    return at + length + pad;
}

/* Write one record as orders.py describes it and return its length. */
int64_t order(unsigned char *to, int64_t number, int64_t sent, int64_t pad)
{
    unsigned char *at = to;
    char customer[32];
    const char *city = CITIES[number % 4];
    double price = (double)(number % 10000) / 8;

    snprintf(customer, sizeof customer, "customer %09lld", (long long)number);
    at = put_number(at, number);
    at = put_number(at, sent);
    at = put_number(at, INT64_C(1795423320000) + number);
    at = put_text(at, customer, (size_t)pad);
    at = put_number(at, city == NULL);
    if (city != NULL)
        at = put_text(at, city, 0);
    at = put_number(at, number % 50 + 1);
    memcpy(at, &price, sizeof price);
    at = put_text(at + sizeof price, STATES[number % 3], 0);
    return at - to;
}

static int push(void *socket, const void *data, size_t size, int flags)
{
    int sent;
    while ((sent = zmq_send(socket, data, size, flags)) < 0 && zmq_errno() == EINTR)
        ;
    return sent;
}

/* Publish records first to first + records - 1, each stamped as it is made.
 * per_second: notifications a second, 0 for as fast as can be; returns 0, or an errno. */
int publish(void *socket, const char *topic, int64_t topic_length, int64_t first, int64_t records,
            int64_t per_message, double per_second, int64_t pad)
{
    unsigned char record[HIGHEST_PAD + 256];
    int64_t begun = now(CLOCK_MONOTONIC), end = first + records;

    if (pad > HIGHEST_PAD)
        return EINVAL;
    for (int64_t number = first, message = 0; number < end; message++) {
        int64_t last = number + per_message < end ? number + per_message : end;
        if (per_second > 0) {
            int64_t wait = begun + (int64_t)((double)message * 1e9 / per_second) - now(CLOCK_MONOTONIC);
            struct timespec pause = {wait / 1000000000, wait % 1000000000};
            if (wait > 0)
                nanosleep(&pause, NULL);
        }
        if (push(socket, topic, (size_t)topic_length, SNDMORE) < 0)
            return zmq_errno();
        int64_t sent = now(CLOCK_REALTIME) / 1000;
        for (; number < last; number++) {
            size_t length = (size_t)order(record, number, sent, pad);
            if (push(socket, record, length, number + 1 < last ? SNDMORE : 0) < 0)
                return zmq_errno();
        }
    }
    return 0;
}

/* Receive so many records, copying each as somebody who keeps them must; returns 0 or an errno. */
int receive(void *socket, int64_t records)
{
    unsigned char *ring = malloc(RING);
    zmq_msg_t frame;
    size_t used = 0;
    int topic = 1, failed = 0;

    if (ring == NULL)
        return ENOMEM;
    zmq_msg_init(&frame);
    while (records > 0) {
        if (zmq_msg_recv(&frame, socket, 0) < 0) {
            if (zmq_errno() == EINTR)
                continue;
            failed = zmq_errno();
            break;
        }
        if (!topic) {
            size_t size = zmq_msg_size(&frame);
            if (used + size > RING)
                used = 0;
            memcpy(ring + used, zmq_msg_data(&frame), size);
            used += size;
            records--;
        }
        topic = !zmq_msg_more(&frame);
    }
    zmq_msg_close(&frame);
    free(ring);
    return failed;
}
