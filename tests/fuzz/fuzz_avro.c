/* Any bytes give values, each a header and fields that end where they say, or the walk's verdict;
 * whatever way a record is gone through, its value is the same; a record without a form has no
 * bytes, and the others are what they are without it; a buffer that cannot grow ends it.
 */
#include "avro.h"
#include "fuzz.h"

#define MOST_RECORDS 4096
#define HEADER "\0\1\2\3\4"

static size_t growths_left;

static bool grow_sometimes(struct out *out, size_t capacity) {
    if (growths_left == 0) {
        free(out->data);
        return false;
    }
    growths_left--;
    return out_grow(out, capacity);
}

/* The form that the column's bits 4 to 7 choose among those of its base. */
static const char *form_of(enum base base, uint8_t choice) {
    static const char *const text[] = {"copy", "date", "time", "datetime", "decimal",
                                       "ulong", "uuid", "hash", "redact"};
    static const char *const other[][4] = {
        [BASE_INT] = {"copy", "boolean", "hash", "redact"},
        [BASE_LONG] = {"copy", "boolean", "hash", "redact"},
        [BASE_FLOAT] = {"copy", "copy", "hash", "redact"},
        [BASE_DOUBLE] = {"copy", "copy", "hash", "redact"},
        [BASE_BYTES] = {"copy", "vector", "hash", "redact"},
    };
    return base == BASE_STRING ? text[(choice >> 4) % 9] : other[base][choice >> 6];
}

static const char *json_of(enum base base) {
    static const char *const forms[] = {
        [BASE_INT] = "number",    [BASE_LONG] = "timestamp", [BASE_FLOAT] = "float",
        [BASE_DOUBLE] = "double", [BASE_STRING] = "json",    [BASE_BYTES] = "base64",
    };
    return forms[base];
}

static void set_field(struct avro_record *record, const struct records *records, size_t index,
                      size_t place) {
    enum base base = records->plan.operations[place].base;
    const struct avro_wish wish = {
        .place = place,
        .form = form_of(base, records->choices[place]),
        .digits = 9,
        .scale = records->options % 10,
        .json = json_of(base),
        .mask_key = "key",
        .mask_key_size = 3,
    };

    require(avro_set(record, &records->plan, index, &wish), "a form that the base has");
}

struct result {
    struct out values, refusals;
    uint64_t *ends; /* as many as the payload can hold, for ASan */
    struct avro_done done;
};

static void run(struct result *result, const struct records *records,
                const struct avro_record *record, size_t count) {
    struct reader reader = reader_over(records->payload, records->size);
    size_t possible = records->size / records->plan.least;

    *result = (struct result){.values = {.grow = grow_sometimes}, .refusals = {.grow = out_grow}};
    result->ends = calloc(possible ? possible : 1, sizeof *result->ends);
    require(result->ends != NULL, "there is memory");
    const struct avro_work work = {
        .plan = &records->plan,
        .record = record,
        .header = {(const uint8_t *)HEADER, sizeof HEADER - 1},
        .count = count,
        .values = &result->values,
        .refusals = &result->refusals,
        .ends = result->ends,
    };
    result->done = avro_write(&work, &reader);
}

static void close_result(struct result *result) {
    free(result->values.data);
    free(result->refusals.data);
    free(result->ends);
}

/* Read a field as Avro would; whether it is one is known by where it ends. */
static void skip_field(struct reader *reader, const struct operation *operation,
                       enum avro_form form) {
    if (operation->nullable && form != AVRO_REDACT) {
        int64_t index = reader_long(reader);
        require(index == 0 || index == 1, "a union has two");
        if (index == 0)
            return;
    }
    if (form == AVRO_VECTOR) {
        int64_t count = reader_long(reader);
        if (count != 0) {
            reader_fixed(reader, 4 * (size_t)count);
            require(reader_long(reader) == 0, "one block");
        }
    } else if (form == AVRO_BOOLEAN)
        require(*reader_fixed(reader, 1) <= 1, "a boolean is 0 or 1");
    else if (form == AVRO_DATE || form == AVRO_TIME || form == AVRO_DATETIME)
        reader_long(reader);
    else if (form != AVRO_COPY)
        reader_span(reader, INT64_MAX);
    else {
        struct operation value = *operation;
        value.nullable = false;
        walk_column(reader, &value);
    }
}

static void check_values(const struct result *result, const struct records *records,
                         const struct avro_record *record) {
    size_t start = 0;

    for (size_t i = 0; i < result->done.records; i++) {
        size_t end = result->ends[i];
        require(end >= start && end <= result->values.size, "values follow each other");
        if (end > start) {
            struct reader reader = reader_over(result->values.data + start, end - start);
            const uint8_t *header = reader_fixed(&reader, sizeof HEADER - 1);
            require(header && memcmp(header, HEADER, sizeof HEADER - 1) == 0, "a header");
            for (size_t j = 0; j < record->count; j++) {
                const struct avro_field *field = &record->fields[j];
                skip_field(&reader, &records->plan.operations[field->place], field->form);
            }
            require(reader.fault == FAULT_NONE && reader_left(&reader) == 0, "whole values");
        }
        start = end;
    }
}

static void check_verdict(const struct result *result, const struct records *records,
                          size_t count) {
    struct reader reader = reader_over(records->payload, records->size);
    struct verdict verdict = {.fault = FAULT_NONE};
    size_t good = 0;

    while (good < count) {
        verdict = walk_record(&records->plan, &reader);
        if (verdict.fault != FAULT_NONE)
            break;
        good++;
    }
    require(result->done.records == good, "as many records as the walk finds good");
    require(result->done.verdict.fault == verdict.fault, "the walk's fault");
    require(result->done.verdict.column == verdict.column, "in the same column");
    require(result->done.verdict.offset == verdict.offset, "at the same byte");
}

static void check_refusals(const struct result *result, const struct avro_record *record) {
    size_t count = result->refusals.size / sizeof(struct avro_refusal), next = 0;

    for (size_t i = 0; i < count; i++) {
        struct avro_refusal refusal;
        memcpy(&refusal, result->refusals.data + i * sizeof refusal, sizeof refusal);
        require(refusal.index >= next && refusal.field < record->count, "refusals ascend");
        next = refusal.index + 1;
        if (refusal.index < result->done.records) {
            size_t start = refusal.index ? result->ends[refusal.index - 1] : 0;
            require(result->ends[refusal.index] == start, "what is refused has no bytes");
        }
    }
}

static void check(const struct records *records, struct avro_record *record) {
    struct result one, other;
    size_t count = records->size / records->plan.least;
    count = count < MOST_RECORDS ? count + (records->options & 1) : MOST_RECORDS;

    growths_left = SIZE_MAX;
    run(&one, records, record, count);
    require(!one.done.memory_short, "there is memory");
    check_verdict(&one, records, count);
    check_values(&one, records, record);
    check_refusals(&one, record);

    bool in_wire_order = record->in_wire_order;
    record->in_wire_order = false; /* the long way is open to all */
    run(&other, records, record, count);
    record->in_wire_order = in_wire_order;
    require(other.done.records == one.done.records, "the other way, as many records");
    require(one.done.verdict.fault != FAULT_NONE ||
                (other.values.size == one.values.size &&
                 (one.values.size == 0 ||
                  memcmp(other.values.data, one.values.data, one.values.size) == 0)),
            "the same values");
    close_result(&other);

    growths_left = records->size % 7;
    run(&other, records, record, count);
    require(other.done.memory_short == other.values.failed, "short memory has an owner");
    close_result(&other);
    close_result(&one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct records records;
    struct avro_record record;

    if (!records_open(&records, data, size))
        return 0;
    size_t columns = records.plan.count;
    require(avro_open(&record, columns), "there is memory");
    /* In wire order or, where the last column asks for it, from the last column to the first. */
    bool backwards = (records.choices[columns - 1] & 0x30) == 0x30;
    for (size_t i = 0; i < columns; i++)
        set_field(&record, &records, i, backwards ? columns - 1 - i : i);
    check(&records, &record);
    avro_close(&record);
    records_close(&records);
    return 0;
}
