#include "form.h"

#include "column.h"
#include "digits.h"
#include "embed.h"
#include "escape.h"
#include "moment.h"
#include "shortest.h"
#include "utf8.h"

/* Each form, and the base types that it can be of. */
#define ON(base) (1u << (base))
static const struct {
    const char *name;
    unsigned bases;
} forms[] = {
    [FORM_NUMBER] = {"number", ON(BASE_INT) | ON(BASE_LONG)},
    [FORM_BOOLEAN] = {"boolean", ON(BASE_INT) | ON(BASE_LONG)},
    [FORM_TIMESTAMP] = {"timestamp", ON(BASE_INT) | ON(BASE_LONG)},
    [FORM_FLOAT] = {"float", ON(BASE_FLOAT)},
    [FORM_DOUBLE] = {"double", ON(BASE_DOUBLE)},
    [FORM_TEXT] = {"text", ON(BASE_STRING)},
    [FORM_DATETIME] = {"datetime", ON(BASE_STRING)},
    [FORM_ULONG] = {"ulong", ON(BASE_STRING)},
    [FORM_JSON] = {"json", ON(BASE_STRING)},
    [FORM_VECTOR] = {"vector", ON(BASE_BYTES)},
    [FORM_BASE64] = {"base64", ON(BASE_BYTES)},
};

/* The object */

bool object_open(struct object *object, size_t count) {
    *object = (struct object){.count = count, .in_wire_order = true};
    object->members = calloc(count ? count : 1, sizeof *object->members);
    return object->members != NULL;
}

enum object_error object_set(struct object *object, const struct plan *plan, size_t index,
                             size_t place, const char *form, const void *name, size_t name_size) {
    struct member *member = &object->members[index];
    size_t found = 0;

    if (place >= plan->count)
        return OBJECT_NO_COLUMN;
    while (found < sizeof forms / sizeof *forms && strcmp(form, forms[found].name) != 0)
        found++;
    if (found == sizeof forms / sizeof *forms ||
        (forms[found].bases & ON(plan->operations[place].base)) == 0)
        return OBJECT_NO_FORM;
    member->place = place;
    member->form = (enum form)found;
    member->head_size = name_size + 1;
    member->head = malloc(member->head_size);
    if (member->head == NULL)
        return OBJECT_NO_MEMORY;
    member->head[0] = index ? ',' : '{';
    memcpy(member->head + 1, name, name_size);
    if (index > 0 && place <= object->members[index - 1].place)
        object->in_wire_order = false;
    return OBJECT_GOOD;
}

void object_close(struct object *object) {
    for (size_t i = 0; object->members != NULL && i < object->count; i++)
        free(object->members[i].head);
    free(object->members);
    *object = (struct object){0};
}

void object_end(struct out *out, const struct object *object) {
    if (object->count == 0)
        out_text(out, "{}", 2);
    else
        out_byte(out, '}');
}

/* Values */

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

void member_write(struct out *out, struct reader *reader, const struct operation *operation,
                  const struct member *member) {
    out_text(out, member->head, member->head_size);
    if (column_present(reader, operation))
        write_value(out, reader, operation, member->form);
    else
        out_text(out, "null", 4);
}
