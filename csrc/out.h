/* A buffer that grows while it is written.
 *
 * Whoever owns the memory gives `grow`, which moves it to a larger place or says that there is
 * none; then `failed` stays set and every later write does nothing. A writer asks for the room
 * of what it is about to write, fills it, and moves `size`.
 */
#ifndef KINETICA_BRIDGE_OUT_H
#define KINETICA_BRIDGE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct out {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
    /* Set `data` and `capacity`, at least the one given; false when memory is short. */
    bool (*grow)(struct out *out, size_t capacity);
};

/* Room for `more` bytes at the end; NULL when there is none. */
static inline uint8_t *out_room(struct out *out, size_t more) {
    if (out->data == NULL || more > out->capacity - out->size) {
        size_t half = out->capacity / 2;
        if (out->failed || more > SIZE_MAX / 4 || out->capacity > SIZE_MAX / 4) {
            out->failed = true;
            return NULL;
        }
        size_t wanted = out->capacity + (half > more ? half : more) + 64;
        if (!out->grow(out, wanted)) {
            *out = (struct out){.failed = true, .grow = out->grow};
            return NULL;
        }
    }
    return out->data + out->size;
}

static inline void out_text(struct out *out, const void *text, size_t size) {
    uint8_t *at = out_room(out, size);

    if (at != NULL && size != 0) {
        memcpy(at, text, size);
        out->size += size;
    }
}

static inline void out_byte(struct out *out, uint8_t byte) {
    uint8_t *at = out_room(out, 1);

    if (at != NULL) {
        *at = byte;
        out->size++;
    }
}

/* What was written up to `at`, which lies in the room last given. */
static inline void out_up_to(struct out *out, const uint8_t *at) {
    out->size = (size_t)(at - out->data);
}

/* `grow` for memory that `free(out.data)` gives back. */
static inline bool out_grow(struct out *out, size_t capacity) {
    uint8_t *data = realloc(out->data, capacity);

    if (data == NULL) {
        free(out->data);
        return false;
    }
    out->data = data;
    out->capacity = capacity;
    return true;
}

#endif
