/* Any good record is a line of CSV whose fields, read back, are the strings of its JSON, or the
 * JSON itself; null is nothing at all, and the only field that is. A hash is that of the field,
 * and where stars stand nothing else does. Any bad one gives the walk's verdict.
 */
#include "escape.h"
#include "fuzz_form.h"
#include "transcode.h"

#define HEX "0123456789abcdef"

static void fill(struct object *object, const struct records *records, const char *mask) {
    require(object_open(object, records->plan.count), "there is memory");
    for (size_t i = 0; i < records->plan.count; i++) {
        const char *form = form_of(records->plan.operations[i].base, records->choices[i]);
        const struct wish wish = {i, form, "", 0, mask, records->choices, i};
        require(object_set(object, &records->plan, i, &wish) == OBJECT_GOOD, "a form of the base");
    }
}

/* Read a field back as the standard has it; false where it is null. */
static bool read_field(const struct out *field, struct out *text) {
    size_t end = field->size;

    text->size = 0;
    out_text(text, "", 0); /* so that it has a place, also when it is empty */
    if (end == 0 || field->data[0] != '"') {
        for (size_t i = 0; i < end; i++)
            require(memchr("\",\r\n", field->data[i], 4) == NULL, "what is special is quoted");
        if (end)
            out_text(text, field->data, end);
        return end != 0;
    }
    require(end >= 2 && field->data[end - 1] == '"', "a quote is closed");
    for (size_t i = 1; i < end - 1; i++) {
        out_byte(text, field->data[i]);
        if (field->data[i] == '"') {
            i++;
            require(i < end - 1 && field->data[i] == '"', "a quote inside is doubled");
        }
    }
    return true;
}

static bool same(const struct out *one, const struct out *other) {
    return one->size == other->size && (one->size == 0 || !memcmp(one->data, other->data, one->size));
}

/* The value of one column of a good record, by each object. */
static void check_member(const struct records *records, const struct object *objects, size_t place,
                         const uint8_t *start, const uint8_t *behind, struct out *line) {
    const struct operation *operation = &records->plan.operations[place];
    struct out csv[3], json[3], text = {.grow = out_grow}, quoted = {.grow = out_grow};

    for (int i = 0; i < 3; i++) {
        struct reader reader = reader_over(start, (size_t)(behind - start));
        csv[i] = json[i] = (struct out){.grow = out_grow};
        member_write_csv(&csv[i], &reader, operation, &objects[i].members[place]);
        require(reader.fault == FAULT_NONE && reader.cursor == behind, "a value is read to its end");
        reader = reader_over(start, (size_t)(behind - start));
        member_write(&json[i], &reader, operation, &objects[i].members[place]);
        require(reader.fault == FAULT_NONE && reader.cursor == behind, "a value is read to its end");
        json[i].size -= 1; /* the head is a brace or a comma alone */
        memmove(json[i].data, json[i].data + 1, json[i].size);
    }
    out_text(line, csv[0].data, csv[0].size);
    bool null = !read_field(&csv[0], &text);
    out_byte(&quoted, '"');
    require(escape(&quoted, text.data, text.size) == NULL, "a field is UTF-8");
    out_byte(&quoted, '"');
    if (null)
        require(json[0].size == 4 && !memcmp(json[0].data, "null", 4), "nothing is null");
    else
        require(same(&json[0], &text) || same(&json[0], &quoted), "a field is the JSON's value");

    if (null)
        require(csv[1].size == 0 && same(&json[1], &json[0]), "null has no hash");
    else {
        uint8_t digest[SHA256_SIZE], hex[2 * SHA256_SIZE];
        struct hmac_key key = hmac_key_of(records->choices, place);
        hmac_sha256(&key, text.data, text.size, digest);
        for (size_t i = 0; i < sizeof digest; i++) {
            hex[2 * i] = (uint8_t)HEX[digest[i] / 16];
            hex[2 * i + 1] = (uint8_t)HEX[digest[i] % 16];
        }
        require(csv[1].size == sizeof hex && !memcmp(csv[1].data, hex, sizeof hex), "the hash");
        require(json[1].size == sizeof hex + 2 && !memcmp(json[1].data + 1, hex, sizeof hex),
                "the hash in JSON");
    }
    require(csv[2].size == 3 && !memcmp(csv[2].data, "***", 3), "stars");
    require(json[2].size == 5 && !memcmp(json[2].data, "\"***\"", 5), "stars in JSON");
    for (int i = 0; i < 3; i++) {
        free(csv[i].data);
        free(json[i].data);
    }
    free(text.data);
    free(quoted.data);
}

/* The record at the cursor; its line is added. */
static struct verdict check_record(const struct records *records, const struct object *objects,
                                   struct reader *reader, struct out *lines) {
    const uint8_t *starts[MOST_COLUMNS + 1];
    const uint8_t *first = reader->cursor;

    for (size_t i = 0; i < records->plan.count; i++) {
        starts[i] = reader->cursor;
        walk_column(reader, &records->plan.operations[i]);
        if (reader->fault != FAULT_NONE)
            return (struct verdict){reader->fault, (size_t)(reader->fault_at - first), i};
    }
    starts[records->plan.count] = reader->cursor;
    for (size_t i = 0; i < records->plan.count; i++) {
        if (i)
            out_byte(lines, ',');
        check_member(records, objects, i, starts[i], starts[i + 1], lines);
    }
    out_byte(lines, '\n');
    return (struct verdict){.fault = FAULT_NONE};
}

/* In one pass over the record or, `twice`, after a walk. */
static void check_lines(const struct records *records, const struct object *object,
                        const struct out *wanted, size_t count, struct verdict verdict,
                        bool twice) {
    static const struct run run = {UINT64_MAX, 0};
    static const struct piece pieces[] = {{.slot = SLOT_CSV}, {.slot = SLOT_CSV}};
    struct reader reader = reader_over(records->payload, records->size);
    struct out lines = {.grow = out_grow};
    uint64_t *ends = calloc(count + 1, sizeof *ends);
    require(ends != NULL, "there is memory");
    const struct transcoding work = {
        .plan = &records->plan,
        .record = object,
        .pieces = pieces,
        .piece_count = twice ? 2 : 1,
        .runs = &run,
        .count = count + (verdict.fault != FAULT_NONE),
        .lines = &lines,
        .ends = ends,
    };

    struct transcoded done = transcode(&work, &reader);
    require(!done.memory_short && done.records == count, "as many good records");
    require(done.verdict.fault == verdict.fault && done.verdict.column == verdict.column &&
                done.verdict.offset == verdict.offset,
            "the walk's verdict");
    for (size_t i = 0, start = 0, at = 0; i < count; start = ends[i++]) {
        size_t size = (ends[i] - start - 1) / (twice ? 2 : 1);
        require(at + size < wanted->size && !memcmp(lines.data + start, wanted->data + at, size) &&
                    lines.data[ends[i] - 1] == '\n' && wanted->data[at + size] == '\n',
                "a line is its fields");
        at += size + 1;
    }
    free(lines.data);
    free(ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct verdict verdict = {.fault = FAULT_NONE};
    struct out lines = {.grow = out_grow};
    struct object objects[3];
    struct records records;
    size_t count = 0;

    if (!records_open(&records, data, size))
        return 0;
    fill(&objects[0], &records, NULL);
    fill(&objects[1], &records, "hash");
    fill(&objects[2], &records, "redact");
    struct reader reader = reader_over(records.payload, records.size);
    while (reader_left(&reader) != 0 && verdict.fault == FAULT_NONE) {
        verdict = check_record(&records, objects, &reader, &lines);
        count += verdict.fault == FAULT_NONE;
    }
    check_lines(&records, &objects[0], &lines, count, verdict, false);
    check_lines(&records, &objects[0], &lines, count, verdict, true);
    for (int i = 0; i < 3; i++)
        object_close(&objects[i]);
    free(lines.data);
    records_close(&records);
    return 0;
}
