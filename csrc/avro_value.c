#include "avro_value.h"

#include "digits.h"

#define DAY_MS 86400000
#define LIMBS 4

#define ON(base) (1u << (base))
static const struct {
    const char *name;
    unsigned bases;
} forms[AVRO_FORMS] = {
    [AVRO_COPY] = {"copy", ~0u},
    [AVRO_BOOLEAN] = {"boolean", ON(BASE_INT) | ON(BASE_LONG)},
    [AVRO_DATE] = {"date", ON(BASE_STRING)},
    [AVRO_TIME] = {"time", ON(BASE_STRING)},
    [AVRO_DATETIME] = {"datetime", ON(BASE_STRING)},
    [AVRO_DECIMAL] = {"decimal", ON(BASE_STRING)},
    [AVRO_ULONG] = {"ulong", ON(BASE_STRING)},
    [AVRO_UUID] = {"uuid", ON(BASE_STRING)},
    [AVRO_VECTOR] = {"vector", ON(BASE_BYTES)},
    [AVRO_HASH] = {"hash", ~0u},
    [AVRO_REDACT] = {"redact", ~0u},
};

bool avro_form_of(const char *name, enum base base, enum avro_form *form) {
    for (size_t i = 0; i < AVRO_FORMS; i++)
        if (strcmp(name, forms[i].name) == 0) {
            *form = (enum avro_form)i;
            return (forms[i].bases & ON(base)) != 0;
        }
    return false;
}

void avro_long(struct out *out, int64_t value) {
    uint64_t bits = (uint64_t)value << 1 ^ (0 - (uint64_t)(value < 0));
    uint8_t *at = out_room(out, 10);

    if (at == NULL)
        return;
    for (; bits > 0x7f; bits >>= 7)
        *at++ = (uint8_t)(bits | 0x80);
    *at++ = (uint8_t)bits;
    out_up_to(out, at);
}

/* Exactly `count` digits; -1 where they are none. */
static int32_t number_at(const uint8_t *at, unsigned count) {
    int32_t number = 0;

    for (unsigned i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        number = number * 10 + (at[i] - '0');
    }
    return number;
}

/* 2026-11-23, years 0001 to 9999, as days since 1970-01-01. */
static bool read_date(struct span text, int32_t *days) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (text.size != 10 || text.data[4] != '-' || text.data[7] != '-')
        return false;
    int32_t year = number_at(text.data, 4);
    int32_t month = number_at(text.data + 5, 2);
    int32_t day = number_at(text.data + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > lengths[month - 1] + (month == 2 && leap))
        return false;
    /* A year is taken to begin in March, as in moment.c; 0000-03-01 is day 0 of the count. */
    int32_t from_march = month > 2 ? year : year - 1;
    int32_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    *days = from_march * 365 + from_march / 4 - from_march / 100 + from_march / 400 + of_year -
            719468;
    return true;
}

/* 08:42:00, or 08:42:00.123 with up to nine digits, as milliseconds; what is finer goes. */
static bool read_time(struct span text, int32_t *ms) {
    if (text.size < 8 || text.data[2] != ':' || text.data[5] != ':')
        return false;
    int32_t hour = number_at(text.data, 2);
    int32_t minute = number_at(text.data + 3, 2);
    int32_t second = number_at(text.data + 6, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    int32_t fraction = 0;
    if (text.size > 8) {
        size_t digits = text.size - 9;
        if (text.data[8] != '.' || digits < 1 || digits > 9)
            return false;
        for (size_t i = 0; i < digits || i < 3; i++) {
            uint8_t digit = i < digits ? text.data[9 + i] : '0';
            if (digit < '0' || digit > '9')
                return false;
            if (i < 3)
                fraction = fraction * 10 + (digit - '0');
        }
    }
    *ms = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    return true;
}

static bool write_date(struct out *out, struct span text) {
    int32_t days;

    if (!read_date(text, &days))
        return false;
    avro_long(out, days);
    return true;
}

static bool write_time(struct out *out, struct span text) {
    int32_t ms;

    if (!read_time(text, &ms))
        return false;
    avro_long(out, ms);
    return true;
}

/* A date, a space or T, a time; a date alone is its midnight. */
static bool write_datetime(struct out *out, struct span text) {
    int32_t days, ms = 0;

    if (text.size < 10 || !read_date((struct span){text.data, 10}, &days))
        return false;
    if (text.size > 10) {
        if (text.data[10] != ' ' && text.data[10] != 'T')
            return false;
        if (!read_time((struct span){text.data + 11, text.size - 11}, &ms))
            return false;
    }
    avro_long(out, (int64_t)days * DAY_MS + ms);
    return true;
}

/* A number of at most 127 bits in two's complement, big-endian, in as few bytes as hold it. */
static void write_unscaled(struct out *out, const uint32_t limbs[LIMBS], bool negative) {
    uint8_t bytes[4 * LIMBS];
    unsigned carry = negative, skip = 0;

    for (unsigned i = 0; i < sizeof bytes; i++) { /* from the lowest */
        unsigned byte = limbs[i / 4] >> 8 * (i % 4) & 0xff;
        unsigned sum = (negative ? byte ^ 0xff : byte) + carry;
        bytes[sizeof bytes - 1 - i] = (uint8_t)sum;
        carry = sum >> 8;
    }
    while (skip < sizeof bytes - 1 && bytes[skip] == (bytes[skip + 1] & 0x80 ? 0xff : 0))
        skip++;
    avro_long(out, (int64_t)(sizeof bytes - skip));
    out_text(out, bytes + skip, sizeof bytes - skip);
}

static void times_ten_plus(uint32_t limbs[LIMBS], unsigned digit) {
    uint64_t carry = digit;

    for (unsigned i = 0; i < LIMBS; i++) {
        carry += (uint64_t)limbs[i] * 10;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static size_t digits_from(struct span text, size_t at) {
    size_t end = at;

    while (end < text.size && text.data[end] >= '0' && text.data[end] <= '9')
        end++;
    return end - at;
}

/* A sign, digits, a point and digits; what is finer than the scale must be zeros. */
static bool write_decimal(struct out *out, struct span text, unsigned digits, unsigned scale) {
    size_t at = text.size && (text.data[0] == '-' || text.data[0] == '+');
    bool negative = at && text.data[0] == '-';
    size_t whole = digits_from(text, at), point = at + whole;
    bool pointed = point < text.size && text.data[point] == '.';
    size_t fraction = pointed ? digits_from(text, point + 1) : 0;
    uint32_t limbs[LIMBS] = {0};

    if (whole + fraction == 0 || point + pointed + fraction != text.size)
        return false;
    for (size_t i = scale; i < fraction; i++)
        if (text.data[point + 1 + i] != '0')
            return false;
    while (whole && text.data[at] == '0') {
        at++;
        whole--;
    }
    if (whole > digits - scale)
        return false;
    for (size_t i = 0; i < whole; i++)
        times_ten_plus(limbs, text.data[at + i] - '0');
    for (size_t i = 0; i < scale; i++)
        times_ten_plus(limbs, i < fraction ? text.data[point + 1 + i] - '0' : 0);
    write_unscaled(out, limbs, negative);
    return true;
}

static bool write_ulong(struct out *out, struct span text) {
    uint64_t number;

    if (!digits_read(text.data, text.size, &number))
        return false;
    const uint32_t limbs[LIMBS] = {(uint32_t)number, (uint32_t)(number >> 32)};
    write_unscaled(out, limbs, false);
    return true;
}

/* 32 hexadecimal digits, with the hyphens or without, as RFC 4122 writes them. */
static bool write_uuid(struct out *out, struct span text) {
    uint8_t written[36];
    bool hyphens = text.size == sizeof written;
    size_t from = 0;

    if (!hyphens && text.size != 32)
        return false;
    for (size_t to = 0; to < sizeof written; to++) {
        if (to == 8 || to == 13 || to == 18 || to == 23) {
            if (hyphens && text.data[from++] != '-')
                return false;
            written[to] = '-';
            continue;
        }
        uint8_t letter = text.data[from++];
        if (letter >= 'A' && letter <= 'F')
            letter += 'a' - 'A';
        if (!((letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f')))
            return false;
        written[to] = letter;
    }
    avro_long(out, sizeof written);
    out_text(out, written, sizeof written);
    return true;
}

bool avro_text(struct out *out, enum avro_form form, struct span text, unsigned digits,
               unsigned scale) {
    switch (form) {
    case AVRO_DATE:
        return write_date(out, text);
    case AVRO_TIME:
        return write_time(out, text);
    case AVRO_DATETIME:
        return write_datetime(out, text);
    case AVRO_DECIMAL:
        return write_decimal(out, text, digits, scale);
    case AVRO_ULONG:
        return write_ulong(out, text);
    case AVRO_UUID:
        return write_uuid(out, text);
    default: /* no text */
        return false;
    }
}

bool avro_vector(struct out *out, struct span bytes) {
    if (bytes.size % 4 != 0)
        return false;
    if (bytes.size != 0) { /* one block, and the empty one that ends an array */
        avro_long(out, (int64_t)(bytes.size / 4));
        out_text(out, bytes.data, bytes.size);
    }
    out_byte(out, 0);
    return true;
}
