/* Any bytes give lines, each one JSON in UTF-8 with no line feed inside and its key's JSON in it,
 * or the walk's verdict; whatever way a record is gone through, masked or not, its object is the
 * same; a buffer that cannot grow ends it without a fault. As CSV a record has as many fields as
 * members, each quoted where it must be, and a masked one shows nothing else.
 */
#include "embed.h"
#include "fuzz_form.h"
#include "transcode.h"
#include "utf8.h"

#define MOST_RECORDS 4096

static const struct run runs[] = {{1, 0}, {0, 7}, {2, -1}, {MOST_RECORDS, 1795423320123456}};
static size_t growths_left;

static bool grow_sometimes(struct out *out, size_t capacity) {
    if (growths_left == 0) {
        free(out->data);
        return false;
    }
    growths_left--;
    return out_grow(out, capacity);
}

static void add_member(struct object *object, const struct records *records, size_t index,
                       size_t place) {
    static const char name[] = "\"name\":";
    static const char *const masks[] = {NULL, "hash", NULL, "redact"};
    const struct wish wish = {
        .place = place,
        .form = form_of(records->plan.operations[place].base, records->choices[place]),
        .name = name,
        .name_size = sizeof name - 1,
        .mask = masks[(records->choices[place] + records->size / 16) % 4],
        .mask_key = name,
        .mask_key_size = place % sizeof name,
    };

    require(object_set(object, &records->plan, index, &wish) == OBJECT_GOOD,
            "a form that the base has");
}

struct result {
    struct out lines, keys;
    uint64_t *ends, *key_ends; /* as many as the payload can hold, for ASan */
    struct transcoded done;
};

static void run(struct result *result, const struct records *records, const struct object *record,
                const struct object *key, bool walk_first, size_t count) {
    struct reader reader = reader_over(records->payload, records->size);
    size_t possible = records->size / records->plan.least;
    result->ends = calloc(possible ? possible : 1, sizeof *result->ends);
    result->key_ends = calloc(possible ? possible : 1, sizeof *result->key_ends);
    require(result->ends != NULL && result->key_ends != NULL, "there is memory");
    const struct piece pieces[] = {
        {.slot = SLOT_TEXT, .text = {(const uint8_t *)"{\"a\":\"", 6}},
        {.slot = SLOT_OFFSET20},
        {.slot = SLOT_TIME},
        {.slot = SLOT_TEXT, .text = {(const uint8_t *)"\",\"r\":", 6}},
        {.slot = SLOT_RECORD},
        {.slot = SLOT_TEXT, .text = {(const uint8_t *)",\"k\":", 5}},
        {.slot = walk_first ? SLOT_KEY : SLOT_TIME_NS},
        {.slot = SLOT_TEXT, .text = {(const uint8_t *)",\"s\":", 5}},
        {.slot = walk_first ? SLOT_KEY_TEXT : SLOT_OFFSET},
        {.slot = SLOT_TEXT, .text = {(const uint8_t *)"}", 1}},
    };
    const struct transcoding work = {
        .plan = &records->plan,
        .record = record,
        .key = key,
        .key_before = {(const uint8_t *)"<", walk_first},
        .key_after = {(const uint8_t *)">", walk_first},
        .pieces = pieces,
        .piece_count = sizeof pieces / sizeof *pieces,
        .runs = runs,
        .first = 1234567,
        .count = count,
        .lines = &result->lines,
        .keys = &result->keys,
        .ends = result->ends,
        .key_ends = result->key_ends,
    };

    result->lines = (struct out){.grow = grow_sometimes};
    result->keys = (struct out){.grow = grow_sometimes};
    result->done = transcode(&work, &reader);
}

static void check_lines(const struct result *result, size_t size, bool keyed) {
    struct out text = {.grow = out_grow};
    size_t start = 0;

    for (size_t i = 0; i < result->done.records; i++) {
        const uint8_t *line = result->lines.data + start;
        size_t length = result->ends[i] - start;
        require(length > 0 && result->ends[i] <= result->lines.size, "lines follow each other");
        require(line[--length] == '\n', "a line ends with a line feed");
        require(memchr(line, '\n', length) == NULL, "and has none inside");
        require(utf8_first_bad(line, length) == NULL, "a line is UTF-8");
        /* Where a column may have used all levels but these two, our own judge would refuse. */
        if (size < EMBED_MOST_LEVELS)
            require(embed(&text, line, length), "a line is JSON");
        text.size = 0;
        start = result->ends[i];
    }
    start = 0;
    for (size_t i = 0; keyed && i < result->done.records; i++) {
        require(result->key_ends[i] >= start + 2, "keys follow each other");
        start = result->key_ends[i];
    }
    free(text.data);
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

static void close_result(struct result *result) {
    free(result->lines.data);
    free(result->keys.data);
    free(result->ends);
    free(result->key_ends);
}

static void check(const struct records *records, const struct object *record,
                  const struct object *key) {
    struct result one, other;
    size_t count = records->size / records->plan.least;
    if (count > MOST_RECORDS - 1)
        count = MOST_RECORDS - 1;
    count = (records->options & 8) ? count + 1 : count / 2 + 1;
    if (count > MOST_RECORDS)
        count = MOST_RECORDS;
    bool keyed = (records->options & 1) != 0;

    growths_left = SIZE_MAX;
    run(&one, records, record, keyed ? key : NULL, keyed && (records->options & 2) != 0, count);
    require(!one.done.memory_short, "there is memory");
    check_verdict(&one, records, count);
    check_lines(&one, records->size, keyed);

    if (records->options & 4) {
        growths_left = records->size % 7;
        run(&other, records, record, keyed ? key : NULL, false, count);
        require(other.done.memory_short || other.done.verdict.fault == one.done.verdict.fault,
                "short memory, or the same");
        require(!other.done.memory_short || other.lines.failed || (keyed && other.keys.failed),
                "short memory has an owner");
    } else {
        run(&other, records, record, key, true, count);
        require(other.done.records == one.done.records, "the other way, as many records");
        check_lines(&other, records->size, true);
        if (keyed)
            require(one.keys.size >= one.key_ends[one.done.records ? one.done.records - 1 : 0] ||
                        one.done.records == 0,
                    "keys are whole");
    }
    close_result(&one);
    close_result(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct records records;
    struct object record, key;

    if (!records_open(&records, data, size))
        return 0;
    size_t columns = records.plan.count;
    require(object_open(&record, columns) && object_open(&key, 1 + columns / 4), "there is memory");
    /* In wire order or, where the last column asks for it, from the last column to the first. */
    bool backwards = (records.choices[columns - 1] & 0x30) == 0x30;
    for (size_t i = 0; i < columns; i++)
        add_member(&record, &records, i, backwards ? columns - 1 - i : i);
    for (size_t i = 0; i < key.count; i++)
        add_member(&key, &records, i, (i * 7 + records.options) % columns);
    check(&records, &record, &key);
    object_close(&record);
    object_close(&key);
    records_close(&records);
    return 0;
}
