#include "form.h"

#include "column.h"
#include "digits.h"
#include "embed.h"
#include "escape.h"
#include "moment.h"
#include "shortest.h"
#include "utf8.h"

static void write_number(struct out *out, int64_t value) {
    uint8_t *at = out_room(out, DIGITS_MOST + 1);

    if (at != NULL)
        out_up_to(out, digits_signed(at, value));
}

static void write_timestamp(struct out *out, int64_t ms) {
    if (!moment_has_ms(ms)) {
        write_number(out, ms);
        return;
    }
    uint8_t *at = out_room(out, MOMENT_MOST + 2);
    if (at != NULL) {
        *at++ = '"';
        at = moment_ms(at, ms);
        *at++ = '"';
        out_up_to(out, at);
    }
}

static void write_not_finite(struct out *out, double value) {
    if (value != value)
        out_text(out, "\"NaN\"", 5);
    else if (value > 0)
        out_text(out, "\"Infinity\"", 10);
    else
        out_text(out, "\"-Infinity\"", 11);
}

static void write_double(struct out *out, double value) {
    if (value - value != 0) {
        write_not_finite(out, value);
        return;
    }
    uint8_t *at = out_room(out, SHORTEST_MOST);
    if (at != NULL)
        out_up_to(out, shortest_double(at, value));
}

static void write_float(struct out *out, float value) {
    if (value - value != 0) {
        write_not_finite(out, (double)value);
        return;
    }
    uint8_t *at = out_room(out, SHORTEST_MOST);
    if (at != NULL)
        out_up_to(out, shortest_float(at, value));
}

static void write_text(struct out *out, struct reader *reader, struct span text) {
    out_byte(out, '"');
    const uint8_t *bad = escape(out, text.data, text.size);
    if (bad != NULL)
        reader_fail(reader, FAULT_NOT_UTF8, bad);
    out_byte(out, '"');
}

/* `2026-11-23 08:42:00.123` with a T, all else as received. */
static void write_datetime(struct out *out, struct reader *reader, struct span text) {
    const uint8_t *space = text.size ? memchr(text.data, ' ', text.size) : NULL;

    if (space == NULL) {
        write_text(out, reader, text);
        return;
    }
    out_byte(out, '"');
    size_t before = (size_t)(space - text.data);
    const uint8_t *bad = escape(out, text.data, before);
    out_byte(out, 'T');
    if (bad == NULL)
        bad = escape(out, space + 1, text.size - before - 1);
    if (bad != NULL)
        reader_fail(reader, FAULT_NOT_UTF8, bad);
    out_byte(out, '"');
}

static void write_ulong(struct out *out, struct reader *reader, struct span text) {
    uint64_t value;

    if (!digits_read(text.data, text.size, &value)) {
        write_text(out, reader, text);
        return;
    }
    uint8_t *at = out_room(out, DIGITS_MOST);
    if (at != NULL)
        out_up_to(out, digits_unsigned(at, value));
}

static void write_json(struct out *out, struct reader *reader, struct span text) {
    const uint8_t *bad = utf8_first_bad(text.data, text.size);

    if (bad != NULL)
        reader_fail(reader, FAULT_NOT_UTF8, bad);
    else if (!embed(out, text.data, text.size))
        write_text(out, reader, text);
}

static void write_base64(struct out *out, struct span bytes) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *to = out_room(out, bytes.size / 3 * 4 + 6);
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;

    if (to == NULL)
        return;
    *to++ = '"';
    for (; left >= 3; left -= 3, at += 3) {
        uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        for (int i = 0; i < 4; i++)
            *to++ = (uint8_t)letters[bits >> (18 - 6 * i) & 63];
    }
    if (left != 0) {
        uint32_t bits = (uint32_t)at[0] << 16 | (left == 2 ? (uint32_t)at[1] << 8 : 0);
        *to++ = (uint8_t)letters[bits >> 18];
        *to++ = (uint8_t)letters[bits >> 12 & 63];
        *to++ = left == 2 ? (uint8_t)letters[bits >> 6 & 63] : '=';
        *to++ = '=';
    }
    *to++ = '"';
    out_up_to(out, to);
}

/* Little-endian 32-bit floats; base64 of bytes that are not whole ones. */
static void write_vector(struct out *out, struct span bytes) {
    if (bytes.size % 4 != 0) {
        write_base64(out, bytes);
        return;
    }
    struct reader elements = reader_over(bytes.data, bytes.size);
    out_byte(out, '[');
    while (reader_left(&elements) != 0 && !out->failed) {
        if (elements.cursor != elements.start)
            out_byte(out, ',');
        write_float(out, column_float(&elements));
    }
    out_byte(out, ']');
}

/* In line, as nothing is called more often. */
static inline __attribute__((always_inline)) void
write_value(struct out *out, struct reader *reader, const struct operation *operation,
            enum form form) {
    switch (form) {
    case FORM_NUMBER:
        write_number(out, column_number(reader, operation));
        break;
    case FORM_BOOLEAN:
        if (column_number(reader, operation) != 0)
            out_text(out, "true", 4);
        else
            out_text(out, "false", 5);
        break;
    case FORM_TIMESTAMP:
        write_timestamp(out, column_number(reader, operation));
        break;
    case FORM_FLOAT:
        write_float(out, column_float(reader));
        break;
    case FORM_DOUBLE:
        write_double(out, column_double(reader));
        break;
    case FORM_TEXT:
        write_text(out, reader, column_span(reader, operation));
        break;
    case FORM_DATETIME:
        write_datetime(out, reader, column_span(reader, operation));
        break;
    case FORM_ULONG:
        write_ulong(out, reader, column_span(reader, operation));
        break;
    case FORM_JSON:
        write_json(out, reader, column_span(reader, operation));
        break;
    case FORM_VECTOR:
        write_vector(out, column_span(reader, operation));
        break;
    case FORM_BASE64:
        write_base64(out, column_span(reader, operation));
        break;
    }
}

void value_write(struct out *out, struct reader *reader, const struct operation *operation,
                 enum form form) {
    write_value(out, reader, operation, form);
}

void member_write(struct out *out, struct reader *reader, const struct operation *operation,
                  const struct member *member) {
    out_text(out, member->head, member->head_size);
    if (member->mask != MASK_NONE)
        member_write_masked(out, reader, operation, member);
    else if (column_present(reader, operation))
        write_value(out, reader, operation, member->form);
    else
        out_text(out, "null", 4);
}
