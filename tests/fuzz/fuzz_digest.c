/* Any bytes give a number for each record up to the first bad or hard one, and the walk's verdict;
 * a record has one number alone and among others, and another one where columns are in another
 * order and their values differ in kind. A buffer that cannot grow ends it without a fault.
 */
#include "digest.h"
#include "fuzz.h"

static size_t growths_left;

static bool grow_sometimes(struct out *out, size_t capacity) {
    if (growths_left == 0) {
        free(out->data);
        return false;
    }
    growths_left--;
    return out_grow(out, capacity);
}

static void choose(const struct records *records, struct digest_column *columns) {
    static const char *const names[] = {"plain", "moment", "uuid", "decimal"};

    for (size_t i = 0; i < records->plan.count; i++) {
        enum base base = records->plan.operations[i].base;
        const char *name = base == BASE_STRING ? names[records->choices[i] >> 6] : "plain";
        columns[i].place = i;
        require(digest_form_of(name, base, &columns[i].form), "a form that the base has");
    }
}

/* Records from a place on, at most `count` of them. */
static struct digests run(const struct records *records, const struct digest_column *columns,
                          struct reader *reader, size_t count, uint64_t *numbers, bool *failed) {
    const uint8_t **starts = calloc(records->plan.count, sizeof *starts);
    struct out bytes = {.grow = grow_sometimes};

    require(starts != NULL, "there is memory");
    struct digests found = find_digests(&records->plan, reader, count, columns,
                                        records->plan.count, starts, &bytes, numbers);
    *failed = bytes.failed;
    free(bytes.data);
    free(starts);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct digest_column columns[MOST_COLUMNS];
    struct records records;
    bool failed;

    if (!records_open(&records, data, size))
        return 0;
    choose(&records, columns);
    size_t most = records.size / records.plan.least;
    uint64_t *numbers = calloc(most + 1, sizeof *numbers), alone;
    require(numbers != NULL, "there is memory");

    growths_left = SIZE_MAX;
    struct reader reader = reader_over(records.payload, records.size);
    struct digests all = run(&records, columns, &reader, most + 1, numbers, &failed);
    require(!failed, "there is memory");
    /* One more than there can be, so it ends at a bad record or a hard one. */
    require(all.records <= most, "no more than there can be");
    require(all.hard != (all.verdict.fault != FAULT_NONE), "bad or hard");

    reader = reader_over(records.payload, records.size);
    for (size_t i = 0; i <= all.records; i++) {
        const uint8_t *first = reader.cursor;
        struct reader again = reader;
        struct verdict verdict = walk_record(&records.plan, &again);
        struct digests one = run(&records, columns, &reader, 1, &alone, &failed);
        require(one.verdict.fault == verdict.fault, "the walk's fault");
        require(verdict.fault == FAULT_NONE || (one.verdict.offset == verdict.offset &&
                                                one.verdict.column == verdict.column),
                "at the walk's byte");
        require(one.record == first, "the record that it is about");
        if (i < all.records)
            require(one.records == 1 && alone == numbers[i], "one number, alone and among others");
        else
            require(one.hard == all.hard && one.verdict.fault == all.verdict.fault,
                    "one verdict, alone and among others");
    }

    growths_left = records.options % 4;
    reader = reader_over(records.payload, records.size);
    struct digests bounded = run(&records, columns, &reader, all.records, numbers, &failed);
    require(failed || bounded.records == all.records, "short memory, or the same");
    free(numbers);
    records_close(&records);
    return 0;
}
