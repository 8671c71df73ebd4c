/* Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2020).
 *
 * A float is c * 2^q. What reads back as it lies between the midpoints to its neighbours, an
 * interval about 2^q wide. Take the power of ten 10^k with 10^k <= width < 10^(k+1): then the
 * interval holds at least one multiple of 10^k, and at most one of 10^(k+1). The shortest
 * decimal is that one, if there is one; else the multiple of 10^k nearest to the value. So two
 * pigeon-holes (Schubfaecher) are looked into, and nothing is searched.
 *
 * The interval's ends and the value, divided by 10^k, are one multiplication each with 128 bits
 * of 10^-k (powers.h). The product is rounded to odd: its last bit says that something was cut
 * off, so that comparisons with whole numbers come out as with the exact value. All ends are
 * counted in quarters, so that midpoints are whole.
 */
#include "shortest.h"

#include <stdbool.h>
#include <string.h>

#include "digits.h"
#include "powers.h"

/* digits * 10^exponent */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* floor(log10(2^two)), or of three quarters of that; proven by make_powers.py. */
static int floor_log10(int two, bool three_quarters) {
    int scaled = two * 1262611 - (three_quarters ? 524031 : 0);
    return scaled >= 0 ? scaled / (1 << 22) : -((-scaled + (1 << 22) - 1) / (1 << 22));
}

static int floor_log2(int ten) {
    int scaled = ten * 1741647;
    return scaled >= 0 ? scaled / (1 << 19) : -((-scaled + (1 << 19) - 1) / (1 << 19));
}

struct wide {
    uint64_t high, low;
};

static struct wide multiply(uint64_t one, uint64_t other) {
#ifdef __SIZEOF_INT128__
    unsigned __int128 product = (unsigned __int128)one * other;
    return (struct wide){(uint64_t)(product >> 64), (uint64_t)product};
#else
    uint64_t a = one >> 32, b = one & 0xffffffff, c = other >> 32, d = other & 0xffffffff;
    uint64_t low = b * d, middle = a * d + (low >> 32), cross = b * c + (middle & 0xffffffff);
    return (struct wide){a * c + (middle >> 32) + (cross >> 32), cross << 32 | (low & 0xffffffff)};
#endif
}

/* The upper 64 of 192 bits, the last one set where anything but a whole number was cut off. */
static uint64_t scaled_double(const struct power *power, uint64_t value) {
    struct wide low = multiply(power->low, value);
    struct wide high = multiply(power->high, value);
    uint64_t middle = high.low + low.high;

    return (high.high + (middle < low.high)) | (middle > 1);
}

static uint64_t scaled_float(const struct power *power, uint64_t value) {
    /* 64 bits of the power are enough here, rounded up as the 128 are. */
    struct wide product = multiply(power->high + (power->low != 0), value);

    return product.high | (product.low >> 32 > 1);
}

/* Look into the two holes. `low`, `value` and `high` count quarters of 10^k; `open`: the ends
 * themselves do not read back. */
static struct decimal choose(uint64_t low, uint64_t value, uint64_t high, bool open, int k) {
    uint64_t least = low + open;
    uint64_t most = high - open;
    uint64_t digits = value / 4;

    if (digits >= 10) {
        uint64_t tens = digits / 10;
        bool below = least <= 40 * tens;
        bool above = 40 * tens + 40 <= most;
        if (below != above)
            return (struct decimal){tens + above, k + 1};
    }
    bool below = least <= 4 * digits;
    bool above = 4 * digits + 4 <= most;
    if (below != above)
        return (struct decimal){digits + above, k};
    uint64_t half = 4 * digits + 2;
    bool up = value > half || (value == half && (digits & 1) != 0);
    return (struct decimal){digits + up, k};
}

/* `closer`: the neighbour below is half as far as the one above, as at a power of two. */
static struct decimal decimal_double(uint64_t c, int q, bool closer) {
    int k = floor_log10(q, closer);
    int shift = q + floor_log2(-k) + 1;
    const struct power *power = &powers[-k - POWERS_FIRST];

    return choose(scaled_double(power, (4 * c - 2 + closer) << shift),
                  scaled_double(power, (4 * c) << shift),
                  scaled_double(power, (4 * c + 2) << shift), (c & 1) != 0, k);
}

static struct decimal decimal_float(uint64_t c, int q, bool closer) {
    int k = floor_log10(q, closer);
    int shift = q + floor_log2(-k) + 1;
    const struct power *power = &powers[-k - POWERS_FIRST];

    return choose(scaled_float(power, (4 * c - 2 + closer) << shift),
                  scaled_float(power, (4 * c) << shift),
                  scaled_float(power, (4 * c + 2) << shift), (c & 1) != 0, k);
}

static struct decimal without_zeros(struct decimal decimal) {
    while (decimal.digits % 10000 == 0) {
        decimal.digits /= 10000;
        decimal.exponent += 4;
    }
    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    return decimal;
}

static uint8_t *write_exponent(uint8_t *at, int exponent) {
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    return digits_unsigned(at, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

/* The value is not 0, and `point` digits stand before its point. */
static uint8_t *write_decimal(uint8_t *at, struct decimal decimal) {
    decimal = without_zeros(decimal);
    unsigned count = digits_count(decimal.digits);
    int point = (int)count + decimal.exponent;

    if (point > 16 || point < -4) {
        uint8_t *first = at;
        at = digits_padded(at + 1, decimal.digits, count);
        first[0] = first[1];
        first[1] = '.';
        return write_exponent(count == 1 ? first + 1 : at, point - 1);
    }
    if (point <= 0) {
        memcpy(at, "0.0000", 6);
        return digits_padded(at + 2 - point, decimal.digits, count);
    }
    if (decimal.exponent >= 0) {
        at = digits_padded(at, decimal.digits, count);
        memset(at, '0', (size_t)decimal.exponent);
        at += decimal.exponent;
        memcpy(at, ".0", 2);
        return at + 2;
    }
    uint8_t *end = digits_padded(at + 1, decimal.digits, count);
    memmove(at, at + 1, (size_t)point);
    at[point] = '.';
    return end;
}

uint8_t *shortest_double(uint8_t *at, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7ff);

    if (bits >> 63)
        *at++ = '-';
    if (exponent == 0 && fraction == 0) {
        memcpy(at, "0.0", 3);
        return at + 3;
    }
    uint64_t c = exponent ? fraction | UINT64_C(1) << 52 : fraction;
    int q = (exponent ? exponent : 1) - 1075;
    if (q <= 0 && q >= -52 && (c & ((UINT64_C(1) << -q) - 1)) == 0)
        return write_decimal(at, (struct decimal){c >> -q, 0}); /* whole, and below 2^53 */
    return write_decimal(at, decimal_double(c, q, fraction == 0 && exponent > 1));
}

uint8_t *shortest_float(uint8_t *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t fraction = bits & ((UINT32_C(1) << 23) - 1);
    int exponent = (int)(bits >> 23 & 0xff);

    if (bits >> 31)
        *at++ = '-';
    if (exponent == 0 && fraction == 0) {
        memcpy(at, "0.0", 3);
        return at + 3;
    }
    uint32_t c = exponent ? fraction | UINT32_C(1) << 23 : fraction;
    int q = (exponent ? exponent : 1) - 150;
    if (q <= 0 && q >= -23 && (c & ((UINT32_C(1) << -q) - 1)) == 0)
        return write_decimal(at, (struct decimal){c >> -q, 0}); /* whole, and below 2^24 */
    return write_decimal(at, decimal_float(c, q, fraction == 0 && exponent > 1));
}
