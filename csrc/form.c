#include "form.h"

#include "column.h"
#include "digits.h"
#include "embed.h"
#include "escape.h"
#include "moment.h"
#include "shortest.h"
#include "utf8.h"
#include "walk.h"

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

static void write_value(struct out *out, struct reader *reader, const struct operation *operation,
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

/* Values as text that is no JSON: a string without quotes and escapes, all else as its JSON */

static bool good_text(struct reader *reader, struct span text) {
    const uint8_t *bad = utf8_first_bad(text.data, text.size);

    if (bad != NULL)
        reader_fail(reader, FAULT_NOT_UTF8, bad);
    return bad == NULL;
}

static void bare_span(struct out *out, struct reader *reader, enum form form, struct span text) {
    size_t before = out->size;
    uint64_t number;

    if (!good_text(reader, text))
        return;
    if (form == FORM_ULONG && digits_read(text.data, text.size, &number)) {
        uint8_t *at = out_room(out, DIGITS_MOST);
        if (at != NULL)
            out_up_to(out, digits_unsigned(at, number));
        return;
    }
    if (form == FORM_JSON && embed(out, text.data, text.size))
        return;
    out_text(out, text.data, text.size);
    if (form == FORM_DATETIME && !out->failed && text.size) {
        uint8_t *space = memchr(out->data + before, ' ', text.size);
        if (space != NULL)
            *space = 'T';
    }
}

static void write_bare(struct out *out, struct reader *reader, const struct operation *operation,
                       enum form form) {
    size_t before = out->size;

    if (operation->base == BASE_STRING) {
        bare_span(out, reader, form, column_span(reader, operation));
        return;
    }
    write_value(out, reader, operation, form);
    if (!out->failed && out->size - before >= 2 && out->data[before] == '"') { /* what stands in these has no escapes */
        memmove(out->data + before, out->data + before + 1, out->size - before - 2);
        out->size -= 2;
    }
}

/* The hash of a value in place of it, as hexadecimal digits. */
static void write_hash(struct out *out, struct reader *reader, const struct operation *operation,
                       const struct member *member) {
    static const char hex[] = "0123456789abcdef";
    size_t before = out->size;
    uint8_t digest[SHA256_SIZE];

    write_bare(out, reader, operation, member->form);
    if (out->failed)
        return;
    hmac_sha256(member->mask_key, out->data + before, out->size - before, digest);
    out->size = before;
    uint8_t *at = out_room(out, 2 * sizeof digest);
    for (size_t i = 0; at != NULL && i < sizeof digest; i++) {
        *at++ = (uint8_t)hex[digest[i] >> 4];
        *at++ = (uint8_t)hex[digest[i] & 15];
    }
    if (at != NULL)
        out_up_to(out, at);
}

/* Members */

static void write_masked(struct out *out, struct reader *reader,
                         const struct operation *operation, const struct member *member) {
    if (member->mask == MASK_REDACT) {
        walk_column(reader, operation);
        out_text(out, "\"***\"", 5);
    } else if (column_present(reader, operation)) {
        out_byte(out, '"');
        write_hash(out, reader, operation, member);
        out_byte(out, '"');
    } else
        out_text(out, "null", 4);
}

void member_write(struct out *out, struct reader *reader, const struct operation *operation,
                  const struct member *member) {
    out_text(out, member->head, member->head_size);
    if (member->mask != MASK_NONE)
        write_masked(out, reader, operation, member);
    else if (column_present(reader, operation))
        write_value(out, reader, operation, member->form);
    else
        out_text(out, "null", 4);
}

/* Quote what was written from `before` on, if a reader of CSV would not take it for one value, or
 * for no value at all. */
static void quote_csv(struct out *out, size_t before) {
    size_t quotes = 0;

    if (out->failed)
        return;
    bool plain = out->size != before;
    for (size_t i = before; i < out->size; i++) {
        uint8_t byte = out->data[i];
        quotes += byte == '"';
        plain &= byte != '"' && byte != ',' && byte != '\r' && byte != '\n';
    }
    uint8_t *from = plain ? NULL : out_room(out, quotes + 2);
    if (from == NULL)
        return;
    uint8_t *to = from + quotes + 2;
    const uint8_t *first = out->data + before;
    out_up_to(out, to);
    *--to = '"';
    while (from != first) { /* backwards, as there is more to come to than from */
        uint8_t byte = *--from;
        *--to = byte;
        if (byte == '"')
            *--to = '"';
    }
    *--to = '"';
}

void member_write_csv(struct out *out, struct reader *reader, const struct operation *operation,
                      const struct member *member) {
    size_t before = out->size;

    if (member->mask == MASK_REDACT) {
        walk_column(reader, operation);
        out_text(out, "***", 3);
    } else if (!column_present(reader, operation))
        return;
    else if (member->mask == MASK_HASH)
        write_hash(out, reader, operation, member);
    else {
        write_bare(out, reader, operation, member->form);
        quote_csv(out, before);
    }
}
