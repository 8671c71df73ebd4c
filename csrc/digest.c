#include "digest.h"

#include "blake2b.h"
#include "column.h"

/* What stands before a value, so that no two values of a record look like others. */
enum tag {
    TAG_NULL,
    TAG_NUMBER,
    TAG_REAL,
    TAG_TEXT,
    TAG_BYTES,
};

/* Python's decimals have so many digits; a longer one is rounded, which is not done here. */
#define DECIMAL_DIGITS 28

static const char *const forms[] = {
    [DIGEST_PLAIN] = "plain",
    [DIGEST_MOMENT] = "moment",
    [DIGEST_UUID] = "uuid",
    [DIGEST_DECIMAL] = "decimal",
};

bool digest_form_of(const char *name, enum base base, enum digest_form *form) {
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(name, forms[i]) == 0) {
            *form = (enum digest_form)i;
            return *form == DIGEST_PLAIN || base == BASE_STRING;
        }
    return false;
}

static void put_number(struct out *bytes, uint64_t number, unsigned size) {
    uint8_t written[8];

    for (unsigned i = 0; i < size; i++)
        written[i] = (uint8_t)(number >> 8 * i);
    out_text(bytes, written, size);
}

static void put_real(struct out *bytes, double value) {
    uint64_t bits;

    if (value == 0)
        value = 0; /* without its sign */
    memcpy(&bits, &value, sizeof bits);
    out_byte(bytes, TAG_REAL);
    put_number(bytes, value != value ? UINT64_C(0x7ff8000000000000) : bits, 8);
}

static void put_span(struct out *bytes, enum tag tag, struct span span) {
    out_byte(bytes, (uint8_t)tag);
    put_number(bytes, span.size, 8);
    out_text(bytes, span.data, span.size);
}

/* Without the zeros that a fraction ends in, and with a space for the first T. */
static void put_moment(struct out *bytes, struct span text) {
    const uint8_t *point = text.size ? memchr(text.data, '.', text.size) : NULL;

    if (point != NULL) {
        while (text.data[text.size - 1] == '0')
            text.size--;
        if (text.data + text.size == point + 1)
            text.size--;
    }
    size_t before = bytes->size + 1 + 8;
    put_span(bytes, TAG_TEXT, text);
    uint8_t *letter = text.size && !bytes->failed ? memchr(bytes->data + before, 'T', text.size)
                                                  : NULL;
    if (letter != NULL)
        *letter = ' ';
}

/* Lower case, without hyphens; false for what is not ASCII. */
static bool put_uuid(struct out *bytes, struct span text) {
    uint64_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] > 0x7f)
            return false;
        size += text.data[i] != '-';
    }
    out_byte(bytes, TAG_TEXT);
    put_number(bytes, size, 8);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t letter = text.data[i];
        if (letter != '-')
            out_byte(bytes, letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter);
    }
    return true;
}

static size_t digits_at(struct span text, size_t at) {
    size_t end = at;

    while (end < text.size && text.data[end] >= '0' && text.data[end] <= '9')
        end++;
    return end - at;
}

/* A sign, digits, a point and digits, without zeros in front and at the fraction's end; false for
 * what is written otherwise. */
static bool put_decimal(struct out *bytes, struct span text) {
    size_t at = text.size && (text.data[0] == '-' || text.data[0] == '+');
    bool negative = at && text.data[0] == '-';
    size_t whole = digits_at(text, at), fraction = 0;
    const uint8_t *first = text.data + at, *behind = NULL;

    at += whole;
    if (at < text.size && text.data[at] == '.') {
        behind = text.data + at + 1;
        fraction = digits_at(text, at + 1);
        at += 1 + fraction;
    }
    if (at != text.size || whole + fraction == 0 || whole + fraction > DECIMAL_DIGITS)
        return false;
    for (; whole && *first == '0'; whole--)
        first++;
    while (fraction && behind[fraction - 1] == '0')
        fraction--;
    static const uint8_t zero[] = "0";
    if (whole == 0) {
        first = zero;
        whole = 1;
    }
    out_byte(bytes, TAG_TEXT);
    put_number(bytes, negative + whole + (fraction ? 1 + fraction : 0), 8);
    if (negative)
        out_byte(bytes, '-');
    out_text(bytes, first, whole);
    if (fraction) {
        out_byte(bytes, '.');
        out_text(bytes, behind, fraction);
    }
    return true;
}

/* False for a value that only Python brings to its form. */
static bool put_column(struct out *bytes, struct reader *reader,
                       const struct operation *operation, enum digest_form form) {
    if (!column_present(reader, operation)) {
        out_byte(bytes, TAG_NULL);
        return true;
    }
    switch (operation->base) {
    case BASE_INT:
    case BASE_LONG:
        out_byte(bytes, TAG_NUMBER);
        put_number(bytes, (uint64_t)column_number(reader, operation), 8);
        return true;
    case BASE_FLOAT:
        put_real(bytes, column_float(reader));
        return true;
    case BASE_DOUBLE:
        put_real(bytes, column_double(reader));
        return true;
    case BASE_BYTES:
        put_span(bytes, TAG_BYTES, column_span(reader, operation));
        return true;
    case BASE_STRING:
        break;
    }
    struct span text = column_span(reader, operation);
    switch (form) {
    case DIGEST_MOMENT:
        put_moment(bytes, text);
        return true;
    case DIGEST_UUID:
        return put_uuid(bytes, text);
    case DIGEST_DECIMAL:
        return put_decimal(bytes, text);
    case DIGEST_PLAIN:
        break;
    }
    put_span(bytes, TAG_TEXT, text);
    return true;
}

struct digests find_digests(const struct plan *plan, struct reader *reader, size_t count,
                            const struct digest_column *columns, size_t column_count,
                            const uint8_t **starts, struct out *bytes, uint64_t *numbers) {
    struct digests result = {.record = reader->cursor, .verdict = {.fault = FAULT_NONE}};

    for (size_t i = 0; i < count && !bytes->failed; i++) {
        result.records = i;
        result.record = reader->cursor;
        for (size_t place = 0; place < plan->count; place++) {
            starts[place] = reader->cursor;
            walk_column(reader, &plan->operations[place]);
            if (reader->fault != FAULT_NONE) {
                result.verdict = (struct verdict){
                    reader->fault, (size_t)(reader->fault_at - result.record), place};
                return result;
            }
        }
        bytes->size = 0;
        for (size_t j = 0; j < column_count; j++) {
            size_t place = columns[j].place;
            struct reader look =
                reader_over(starts[place], (size_t)(reader->cursor - starts[place]));
            if (!put_column(bytes, &look, &plan->operations[place], columns[j].form)) {
                result.hard = true;
                return result;
            }
        }
        numbers[i] = blake2b_8(bytes->data, bytes->size);
        result.records = i + 1;
    }
    return result;
}
