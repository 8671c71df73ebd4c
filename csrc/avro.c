#include "avro.h"

#include "column.h"
#include "utf8.h"

bool avro_open(struct avro_record *record, size_t count) {
    *record = (struct avro_record){.count = count, .in_wire_order = true};
    record->fields = calloc(count ? count : 1, sizeof *record->fields);
    return record->fields != NULL && object_open(&record->hashes, count);
}

bool avro_set(struct avro_record *record, const struct plan *plan, size_t index,
              const struct avro_wish *wish) {
    struct avro_field *field = &record->fields[index];

    if (wish->place >= plan->count ||
        !avro_form_of(wish->form, plan->operations[wish->place].base, &field->form))
        return false;
    if (field->form == AVRO_DECIMAL &&
        (wish->digits > AVRO_DIGITS_MOST || wish->scale > wish->digits))
        return false;
    *field = (struct avro_field){wish->place, field->form, wish->digits, wish->scale};
    if (index > 0 && wish->place <= record->fields[index - 1].place)
        record->in_wire_order = false;
    if (field->form != AVRO_HASH)
        return true;
    const struct wish hash = {wish->place, wish->json ? wish->json : "", "", 0, "hash",
                              wish->mask_key, wish->mask_key_size};
    return object_set(&record->hashes, plan, index, &hash) == OBJECT_GOOD;
}

void avro_close(struct avro_record *record) {
    free(record->fields);
    object_close(&record->hashes);
    *record = (struct avro_record){0};
}

/* A hash is 64 digits. As a member of an object it has a brace or comma, and quotes: the place of
 * the first two is that of its length. */
static void write_hash(struct out *out, struct reader *reader, const struct operation *operation,
                       const struct member *member) {
    size_t before = out->size;

    member_write(out, reader, operation, member);
    if (out->failed || reader->fault != FAULT_NONE)
        return;
    out->data[before] = 0x80;
    out->data[before + 1] = 0x01;
    out->size--;
}

/* Write a converted value; false where it has none. The reader keeps a fault. */
static bool write_converted(struct out *out, struct reader *reader,
                            const struct operation *operation, const struct avro_field *field) {
    if (field->form == AVRO_BOOLEAN) {
        out_byte(out, column_number(reader, operation) != 0);
        return true;
    }
    struct span span = column_span(reader, operation);
    if (reader->fault != FAULT_NONE)
        return true;
    if (field->form == AVRO_VECTOR)
        return avro_vector(out, span);
    if (avro_text(out, field->form, span, field->digits, field->scale))
        return true;
    const uint8_t *bad = utf8_first_bad(span.data, span.size); /* all that has a form is ASCII */
    if (bad != NULL)
        reader_fail(reader, FAULT_NOT_UTF8, bad);
    return false;
}

/* Write a column's value, or null, from the cursor; false where it has no form. */
static bool write_field(struct out *out, struct reader *reader, const struct operation *operation,
                        const struct avro_record *record, size_t index) {
    const struct avro_field *field = &record->fields[index];
    struct operation value = *operation;

    if (field->form == AVRO_REDACT) {
        walk_column(reader, operation);
        out_text(out, "\6***", 4);
        return true;
    }
    if (operation->nullable) {
        if (!column_present(reader, operation)) {
            out_byte(out, 0);
            return true;
        }
        out_byte(out, 2); /* the second of the union, as a zigzag number */
        value.nullable = false;
    }
    if (field->form == AVRO_HASH)
        write_hash(out, reader, &value, &record->hashes.members[index]);
    else if (field->form == AVRO_COPY) {
        const uint8_t *start = reader->cursor;
        walk_column(reader, &value);
        out_text(out, start, (size_t)(reader->cursor - start));
    } else
        return write_converted(out, reader, operation, field);
    return true;
}

struct state {
    const struct avro_work *work;
    const uint8_t **starts; /* of the record at hand, where each column begins; or NULL */
    size_t refused;         /* the first field without a form, as many as there are if none */
};

static void note(struct state *state, size_t field) {
    if (field < state->refused)
        state->refused = field;
}

/* Walk a record, writing its fields on the way where they are in wire order. */
static void pass_record(struct state *state, struct reader *reader, size_t *column) {
    const struct plan *plan = state->work->plan;
    const struct avro_record *record = state->work->record;
    size_t next = 0;

    for (size_t i = 0; i < plan->count; i++) {
        const struct operation *operation = &plan->operations[i];
        *column = i;
        if (state->starts != NULL)
            state->starts[i] = reader->cursor;
        if (state->starts == NULL && next < record->count && record->fields[next].place == i) {
            if (!write_field(state->work->values, reader, operation, record, next))
                note(state, next);
            next++;
        } else
            walk_column(reader, operation);
        if (reader->fault != FAULT_NONE)
            return;
    }
}

/* Write the fields of a record that was walked and ends at `end`. */
static void write_walked(struct state *state, const uint8_t *end) {
    const struct avro_record *record = state->work->record;

    for (size_t i = 0; i < record->count; i++) {
        size_t place = record->fields[i].place;
        const uint8_t *start = state->starts[place];
        struct reader reader = reader_over(start, (size_t)(end - start));
        const struct operation *operation = &state->work->plan->operations[place];
        if (!write_field(state->work->values, &reader, operation, record, i))
            note(state, i);
    }
}

static void write_record(struct state *state, struct reader *reader, size_t index,
                         size_t *column) {
    const struct avro_work *work = state->work;
    size_t before = work->values->size;

    state->refused = work->record->count;
    out_text(work->values, work->header.data, work->header.size);
    pass_record(state, reader, column);
    if (reader->fault != FAULT_NONE)
        return;
    if (state->starts != NULL)
        write_walked(state, reader->cursor);
    if (state->refused < work->record->count && !work->values->failed) {
        struct avro_refusal refusal = {index, state->refused};
        work->values->size = before;
        out_text(work->refusals, &refusal, sizeof refusal);
    }
    work->ends[index] = work->values->size;
}

struct avro_done avro_write(const struct avro_work *work, struct reader *reader) {
    struct avro_done done = {.last = reader->cursor, .verdict = {.fault = FAULT_NONE}};
    struct state state = {.work = work};

    if (!work->record->in_wire_order) {
        state.starts = calloc(work->plan->count, sizeof *state.starts);
        done.memory_short = state.starts == NULL;
    }
    for (size_t i = 0; i < work->count && !done.memory_short; i++) {
        size_t column = 0;
        done.last = reader->cursor;
        write_record(&state, reader, i, &column);
        done.memory_short = work->values->failed || work->refusals->failed;
        if (done.memory_short)
            break;
        if (reader->fault != FAULT_NONE) {
            done.verdict =
                (struct verdict){reader->fault, (size_t)(reader->fault_at - done.last), column};
            break;
        }
        done.records = i + 1;
    }
    free(state.starts);
    return done;
}
