/* Whole numbers as decimal digits. */
#ifndef KINETICA_BRIDGE_DIGITS_H
#define KINETICA_BRIDGE_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGITS_MOST 20 /* of 64 bits; a sign comes on top */

static inline void digits_pair(uint8_t *at, unsigned pair) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    memcpy(at, pairs + 2 * pair, 2);
}

static inline unsigned digits_count(uint64_t value) {
    unsigned count = 1;

    for (;;) {
        if (value < 10)
            return count;
        if (value < 100)
            return count + 1;
        if (value < 1000)
            return count + 2;
        if (value < 10000)
            return count + 3;
        value /= 10000;
        count += 4;
    }
}

/* Exactly `count` digits, zeros in front; returns the place behind them. */
static inline uint8_t *digits_padded(uint8_t *at, uint64_t value, unsigned count) {
    uint8_t *end = at + count;
    uint8_t *place = end;

    while (count >= 2) {
        place -= 2;
        digits_pair(place, (unsigned)(value % 100));
        value /= 100;
        count -= 2;
    }
    if (count == 1)
        *--place = (uint8_t)('0' + value % 10);
    return end;
}

static inline uint8_t *digits_unsigned(uint8_t *at, uint64_t value) {
    return digits_padded(at, value, digits_count(value));
}

static inline uint8_t *digits_signed(uint8_t *at, int64_t value) {
    uint64_t size = (uint64_t)value;

    if (value < 0) {
        *at++ = '-';
        size = 0 - size;
    }
    return digits_unsigned(at, size);
}

/* Read at most DIGITS_MOST digits and nothing else; false where they are no 64-bit number. */
static inline bool digits_read(const uint8_t *text, size_t size, uint64_t *value) {
    if (size == 0 || size > DIGITS_MOST)
        return false;
    *value = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9 || *value > UINT64_MAX / 10 || *value * 10 > UINT64_MAX - digit)
            return false;
        *value = *value * 10 + digit;
    }
    return true;
}

#endif
