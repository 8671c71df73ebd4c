/* Pieces that stay the same for a run of records (text, times) are put together once a run, so
 * that a line is a few copies, its offset and its record. */
#include "transcode.h"

#include "digits.h"
#include "escape.h"
#include "moment.h"

struct state {
    const struct transcoding *work;
    struct out frame;      /* the text of the pieces that are ready */
    struct piece *ready;   /* of the run at hand; `text.data` is filled in last */
    size_t ready_count;
    bool timed;            /* whether a run's time stands in its lines */
    bool csv;              /* whether the record that is needed is a line of CSV */
    bool walk_first;       /* whether a record is needed other than once, from start to end */
    const uint8_t **starts; /* of the record at hand, where each column begins */
};

static void write_time(struct out *out, enum slot slot, int64_t us) {
    uint8_t *at = out_room(out, MOMENT_MOST);

    if (at == NULL)
        return;
    if (slot == SLOT_TIME)
        at = moment_us(at, us);
    else if (slot == SLOT_TIME_MS)
        at = digits_signed(at, us / 1000 - (us % 1000 < 0));
    else
        at = digits_signed(at, us);
    if (slot == SLOT_TIME_NS && us != 0) { /* which 64 bits would not hold */
        memset(at, '0', 3);
        at += 3;
    }
    out_up_to(out, at);
}

/* Put together what stays the same for the records of a run. */
static void make_ready(struct state *state, const struct run *run) {
    const struct transcoding *work = state->work;

    state->frame.size = 0;
    state->ready_count = 0;
    for (size_t i = 0; i < work->piece_count; i++) {
        const struct piece *piece = &work->pieces[i];
        struct piece *last = state->ready_count ? &state->ready[state->ready_count - 1] : NULL;
        size_t before = state->frame.size;
        if (piece->slot == SLOT_TEXT)
            out_text(&state->frame, piece->text.data, piece->text.size);
        else if (piece->slot >= SLOT_TIME && piece->slot <= SLOT_TIME_NS)
            write_time(&state->frame, piece->slot, run->time);
        else {
            state->ready[state->ready_count++] = (struct piece){.slot = piece->slot};
            continue;
        }
        if (last == NULL || last->slot != SLOT_TEXT) {
            last = &state->ready[state->ready_count++];
            *last = (struct piece){.slot = SLOT_TEXT};
        }
        last->text.size += state->frame.size - before;
    }
    const uint8_t *at = state->frame.size ? state->frame.data : (const uint8_t *)"";
    for (size_t i = 0; i < state->ready_count; i++) {
        state->ready[i].text.data = at;
        at += state->ready[i].text.size;
    }
}

static inline void put_member(const struct state *state, struct out *out, struct reader *reader,
                              const struct object *object, const struct member *member, bool csv) {
    const struct operation *operation = &state->work->plan->operations[member->place];

    if (!csv) {
        member_write(out, reader, operation, member);
        return;
    }
    if (member != object->members)
        out_byte(out, ',');
    member_write_csv(out, reader, operation, member);
}

/* Walk a record, writing its object on the way where `out` is given; note where columns begin. */
static inline void pass_columns(struct state *state, struct reader *reader, struct out *out,
                                size_t *column, bool csv) {
    const struct plan *plan = state->work->plan;
    const struct object *object = state->work->record;
    const struct member *member = object->members;
    const struct member *behind = member + (out ? object->count : 0);

    for (size_t i = 0; i < plan->count; i++) {
        *column = i;
        if (state->starts != NULL)
            state->starts[i] = reader->cursor;
        if (member != behind && member->place == i)
            put_member(state, out, reader, object, member++, csv);
        else
            walk_column(reader, &plan->operations[i]);
        if (reader->fault != FAULT_NONE)
            return;
    }
    if (out != NULL && !csv)
        object_end(out, object);
}

static void pass_record(struct state *state, struct reader *reader, struct out *out,
                        size_t *column) {
    if (state->csv)
        pass_columns(state, reader, out, column, true);
    else
        pass_columns(state, reader, out, column, false);
}

/* Write an object of a record that was walked and ends at `end`. */
static void write_object(const struct state *state, struct out *out, const struct object *object,
                         const uint8_t *end, bool csv) {
    for (size_t i = 0; i < object->count; i++) {
        const struct member *member = &object->members[i];
        const uint8_t *start = state->starts[member->place];
        struct reader reader = reader_over(start, (size_t)(end - start));
        put_member(state, out, &reader, object, member, csv);
    }
    if (!csv)
        object_end(out, object);
}

/* Write the key of a record that was walked, in its frame; returns the key itself. */
static struct span write_key(const struct state *state, const uint8_t *end) {
    const struct transcoding *work = state->work;
    struct out *keys = work->keys;

    out_text(keys, work->key_before.data, work->key_before.size);
    size_t begin = keys->size;
    write_object(state, keys, work->key, end, false);
    size_t size = keys->size - begin;
    out_text(keys, work->key_after.data, work->key_after.size);
    if (keys->failed)
        return (struct span){(const uint8_t *)"", 0};
    return (struct span){keys->data + begin, size};
}

static void write_line(struct state *state, struct reader *reader, uint64_t offset,
                       struct span key, size_t *column) {
    struct out *lines = state->work->lines;

    for (size_t i = 0; i < state->ready_count; i++) {
        const struct piece *piece = &state->ready[i];
        uint8_t *at;
        switch (piece->slot) {
        case SLOT_TEXT:
            out_text(lines, piece->text.data, piece->text.size);
            break;
        case SLOT_OFFSET:
        case SLOT_OFFSET20:
            at = out_room(lines, DIGITS_MOST);
            if (at != NULL)
                out_up_to(lines, piece->slot == SLOT_OFFSET
                                     ? digits_unsigned(at, offset)
                                     : digits_padded(at, offset, DIGITS_MOST));
            break;
        case SLOT_RECORD:
        case SLOT_CSV:
            if (state->walk_first)
                write_object(state, lines, state->work->record, reader->cursor,
                             piece->slot == SLOT_CSV);
            else
                pass_record(state, reader, lines, column);
            break;
        case SLOT_KEY:
            out_text(lines, key.data, key.size);
            break;
        default: /* SLOT_KEY_TEXT, as times are text by now; a key is UTF-8, so nothing is bad */
            out_byte(lines, '"');
            escape(lines, key.data, key.size);
            out_byte(lines, '"');
        }
    }
    out_byte(lines, '\n');
}

static void write_record(struct state *state, struct reader *reader, size_t index,
                         size_t *column) {
    const struct transcoding *work = state->work;
    struct span key = {(const uint8_t *)"", 0};

    if (state->walk_first) {
        pass_record(state, reader, NULL, column);
        if (reader->fault != FAULT_NONE)
            return;
        if (work->key != NULL)
            key = write_key(state, reader->cursor);
    }
    write_line(state, reader, work->first + index, key, column);
    if (reader->fault != FAULT_NONE)
        return; /* one record more than there is room for may begin, and none be whole */
    if (work->key != NULL && !state->walk_first)
        write_key(state, reader->cursor);
    work->ends[index] = work->lines->size;
    if (work->key != NULL)
        work->key_ends[index] = work->keys->size;
}

static bool open_state(struct state *state, const struct transcoding *work) {
    size_t records = 0;

    *state = (struct state){.work = work, .frame = {.grow = out_grow}};
    state->ready = calloc(work->piece_count ? work->piece_count : 1, sizeof *state->ready);
    for (size_t i = 0; i < work->piece_count; i++) {
        enum slot slot = work->pieces[i].slot;
        state->timed |= slot >= SLOT_TIME && slot <= SLOT_TIME_NS;
        state->walk_first |= slot == SLOT_KEY || slot == SLOT_KEY_TEXT;
        state->csv |= slot == SLOT_CSV;
        records += slot == SLOT_RECORD || slot == SLOT_CSV;
    }
    state->walk_first |= records != 1 || !work->record->in_wire_order;
    if (state->walk_first || work->key != NULL) {
        state->starts = calloc(work->plan->count, sizeof *state->starts);
        if (state->starts == NULL)
            return false;
    }
    return state->ready != NULL;
}

struct transcoded transcode(const struct transcoding *work, struct reader *reader) {
    struct transcoded result = {.last = reader->cursor, .verdict = {.fault = FAULT_NONE}};
    const struct run *run = work->runs;
    uint64_t left = 0; /* records of the run at hand */
    struct state state;

    result.memory_short = !open_state(&state, work);
    for (size_t i = 0; i < work->count && !result.memory_short; i++) {
        bool fresh = i == 0;
        while (left == 0) {
            left = run->records;
            fresh |= state.timed;
            if (left == 0)
                run++;
        }
        if (fresh)
            make_ready(&state, run);
        if (--left == 0)
            run++; /* what was made ready stays until the next run is looked at */

        size_t column = 0;
        result.last = reader->cursor;
        write_record(&state, reader, i, &column);
        /* Asked first: text that there was no room for was not looked at. */
        result.memory_short = work->lines->failed || state.frame.failed ||
                              (work->key != NULL && work->keys->failed);
        if (result.memory_short)
            break;
        if (reader->fault != FAULT_NONE) {
            result.verdict =
                (struct verdict){reader->fault, (size_t)(reader->fault_at - result.last), column};
            break;
        }
        result.records = i + 1;
    }
    free(state.frame.data);
    free(state.ready);
    free(state.starts);
    return result;
}
