/* Values that are not written as their JSON: masked, or as CSV. */
#include "column.h"
#include "digits.h"
#include "embed.h"
#include "form.h"
#include "utf8.h"
#include "walk.h"

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

/* Write a value as text that is no JSON: a string without quotes and escapes, all else as its JSON. */
static void write_bare(struct out *out, struct reader *reader, const struct operation *operation,
                       enum form form) {
    size_t before = out->size;

    if (operation->base == BASE_STRING) {
        bare_span(out, reader, form, column_span(reader, operation));
        return;
    }
    value_write(out, reader, operation, form);
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

void member_write_masked(struct out *out, struct reader *reader, const struct operation *operation,
                         const struct member *member) {
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
