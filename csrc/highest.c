#include "highest.h"

#include <math.h>

#include "column.h"
#include "digits.h"

/* A value as its order sees it; which members count is the order's. */
struct rank {
    int64_t number;
    uint64_t ulong; /* with `number` 0, or -1 for what is no such */
    double real;
    struct span bytes;
    size_t letter; /* of a moment: where the first T stands, which counts as a space */
};

static const struct {
    const char *name;
    unsigned bases;
} orders[] = {
    [ORDER_NUMBER] = {"number", 1u << BASE_INT | 1u << BASE_LONG},
    [ORDER_FLOAT] = {"float", 1u << BASE_FLOAT | 1u << BASE_DOUBLE},
    [ORDER_BYTES] = {"bytes", 1u << BASE_STRING | 1u << BASE_BYTES},
    [ORDER_MOMENT] = {"moment", 1u << BASE_STRING},
    [ORDER_ULONG] = {"ulong", 1u << BASE_STRING},
};

bool order_of(const char *name, enum base base, enum order *order) {
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (strcmp(name, orders[i].name) == 0 && (orders[i].bases >> base & 1u) != 0) {
            *order = (enum order)i;
            return true;
        }
    return false;
}

/* Without the zeros that a fraction ends in, and without its point if nothing is left. */
static struct rank moment_rank(struct span text) {
    const uint8_t *point = text.size ? memchr(text.data, '.', text.size) : NULL;

    if (point != NULL) {
        while (text.data[text.size - 1] == '0')
            text.size--;
        if (text.data + text.size == point + 1)
            text.size--;
    }
    const uint8_t *letter = text.size ? memchr(text.data, 'T', text.size) : NULL;
    return (struct rank){.bytes = text, .letter = letter ? (size_t)(letter - text.data) : text.size};
}

static struct rank ulong_rank(struct span text) {
    uint64_t value;

    if (!digits_read(text.data, text.size, &value))
        return (struct rank){.number = -1};
    return (struct rank){.ulong = value};
}

static struct rank rank_of(struct reader *reader, const struct operation *operation,
                           enum order order) {
    struct rank rank = {0};

    switch (order) {
    case ORDER_NUMBER:
        rank.number = column_number(reader, operation);
        break;
    case ORDER_FLOAT:
        rank.real = operation->base == BASE_FLOAT ? (double)column_float(reader)
                                                  : column_double(reader);
        if (rank.real != rank.real)
            rank.real = -(double)INFINITY;
        break;
    case ORDER_BYTES:
        rank.bytes = column_span(reader, operation);
        break;
    case ORDER_MOMENT:
        return moment_rank(column_span(reader, operation));
    case ORDER_ULONG:
        return ulong_rank(column_span(reader, operation));
    }
    return rank;
}

static uint8_t moment_byte(const struct rank *rank, size_t at) {
    return at == rank->letter ? ' ' : rank->bytes.data[at];
}

static int compare_spans(const struct rank *one, const struct rank *other, bool moments) {
    size_t shorter = one->bytes.size < other->bytes.size ? one->bytes.size : other->bytes.size;
    int difference = 0;

    if (!moments)
        difference = shorter ? memcmp(one->bytes.data, other->bytes.data, shorter) : 0;
    else
        for (size_t i = 0; i < shorter && difference == 0; i++)
            difference = moment_byte(one, i) - moment_byte(other, i);
    if (difference != 0)
        return difference;
    return (one->bytes.size > other->bytes.size) - (one->bytes.size < other->bytes.size);
}

static int compare(const struct rank *one, const struct rank *other, enum order order) {
    switch (order) {
    case ORDER_FLOAT:
        return (one->real > other->real) - (one->real < other->real);
    case ORDER_BYTES:
    case ORDER_MOMENT:
        return compare_spans(one, other, order == ORDER_MOMENT);
    default:
        if (one->number != other->number)
            return one->number > other->number ? 1 : -1;
        return (one->ulong > other->ulong) - (one->ulong < other->ulong);
    }
}

/* Walk a record; where the column begins, NULL if it is null. */
static const uint8_t *pass_record(const struct plan *plan, struct reader *reader, size_t column,
                                  size_t *at_column) {
    const uint8_t *value = NULL;

    for (size_t i = 0; i < plan->count && reader->fault == FAULT_NONE; i++) {
        *at_column = i;
        if (i == column) {
            struct reader look = *reader;
            if (column_present(&look, &plan->operations[i]))
                value = reader->cursor;
        }
        walk_column(reader, &plan->operations[i]);
    }
    return value;
}

/* The rank of a value that was walked over just now. */
static struct rank rank_at(const uint8_t *value, const struct reader *reader,
                           const struct operation *operation, enum order order) {
    struct reader look = reader_over(value, (size_t)(reader->cursor - value));

    column_present(&look, operation);
    return rank_of(&look, operation, order);
}

struct highest find_highest(const struct plan *plan, struct reader *reader, size_t count,
                            size_t column, enum order order, struct out *indices) {
    const struct operation *operation = &plan->operations[column];
    struct highest result = {.record = reader->cursor, .verdict = {.fault = FAULT_NONE}};
    struct rank best = {0};

    for (size_t i = 0; i < count && !indices->failed; i++) {
        size_t at_column = 0;
        result.record = reader->cursor;
        const uint8_t *value = pass_record(plan, reader, column, &at_column);
        if (reader->fault != FAULT_NONE) {
            result.verdict = (struct verdict){
                reader->fault, (size_t)(reader->fault_at - result.record), at_column};
            return result;
        }
        result.records = i + 1;
        if (value == NULL)
            continue;

        struct rank rank = rank_at(value, reader, operation, order);
        int difference = result.value ? compare(&rank, &best, order) : 1;
        if (difference < 0)
            continue;
        if (difference > 0) {
            best = rank;
            result.value = value;
            indices->size = 0;
        }
        uint64_t index = i;
        out_text(indices, &index, sizeof index);
    }
    return result;
}

struct lowest find_lowest(const struct plan *plan, struct reader *reader, size_t count,
                          size_t column, enum order order) {
    const struct operation *operation = &plan->operations[column];
    struct lowest result = {.record = reader->cursor, .verdict = {.fault = FAULT_NONE}};
    struct rank best = {0};

    for (size_t i = 0; i < count; i++) {
        size_t at_column = 0;
        result.record = reader->cursor;
        const uint8_t *value = pass_record(plan, reader, column, &at_column);
        if (reader->fault != FAULT_NONE) {
            result.verdict = (struct verdict){
                reader->fault, (size_t)(reader->fault_at - result.record), at_column};
            return result;
        }
        result.records = i + 1;
        if (value == NULL) {
            result.nulls = true;
            continue;
        }
        struct rank rank = rank_at(value, reader, operation, order);
        if (result.value == NULL || compare(&rank, &best, order) < 0) {
            best = rank;
            result.value = value;
        }
    }
    return result;
}
