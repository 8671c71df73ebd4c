/* Any parts give blocks of whole records and bad frames: of each table a prefix of what came.
 *
 * The input is a list of steps, a byte that says which and what it needs: a part of a message, a
 * new pass with other limits, a topic that is forgotten or added. Parts stand in memory of exactly
 * their size, so that ASan sees a read of one byte more.
 */
#include "fuzz.h"

#include "receive.h"

#define TABLES 2
#define MOST 65536

static const struct {
    const char *name;
    size_t table;
} topics[] = {{"a", 0}, {"ab", 0}, {"b", 1}, {"a-topic-of-more-than-eight-bytes", 1}, {"", 1}};
#define TOPICS (sizeof topics / sizeof *topics)

static struct plan plan;
static struct receiver receiver;
/* What came of each table in this pass, one frame after another, and how many frames in all. */
static uint8_t came[TABLES][MOST];
static size_t came_size[TABLES];
static size_t frames;
static const struct topic *current;

static void check_arrival(const struct arrival *arrival, size_t at[TABLES]) {
    size_t table = arrival->topic->table;
    const uint8_t *bytes = receiver_bytes(&receiver, arrival);

    require(arrival->size <= came_size[table] - at[table], "no more arrives than came");
    require(memcmp(bytes, came[table] + at[table], arrival->size) == 0, "in order, unchanged");
    at[table] += arrival->size;

    struct reader reader = reader_over(bytes, arrival->size);
    for (size_t i = 0; i < arrival->count; i++)
        require(walk_record(&plan, &reader).fault == FAULT_NONE, "a block has good records");
    if (arrival->count != 0)
        require(reader_left(&reader) == 0, "and nothing else");
    else
        require(arrival->verdict.fault != FAULT_NONE, "a bad frame has a fault");
}

/* A table's blocks stand where they began, so another table's may have grown behind them. */
static void check_pass(void) {
    size_t at[TABLES] = {0};
    size_t kept = 0;
    size_t lost = 0;

    for (size_t i = 0; i < receiver.arrival_count; i++) {
        check_arrival(&receiver.arrivals[i], at);
        kept += receiver.arrivals[i].count ? receiver.arrivals[i].count : 1;
    }
    for (size_t i = 0; i < receiver.slots; i++)
        if (receiver.topics[i] != NULL)
            lost += receiver.topics[i]->lost_records;
    require(kept + lost == frames, "every frame is kept or counted");
    if (receiver.cost < receiver.room)
        require(lost == 0, "nothing is discarded while there is room");
}

static void begin(size_t room) {
    struct limits limits = {MOST, MOST, room};

    receiver_begin(&receiver, &limits);
    memset(came_size, 0, sizeof came_size);
    frames = 0;
}

static void take(const uint8_t *data, size_t size, bool more) {
    uint8_t *part = malloc(size ? size : 1);
    bool topic = !receiver.in_message;

    require(part != NULL, "there is memory");
    if (size != 0)
        memcpy(part, data, size);
    if (!topic && current != NULL) {
        size_t table = current->table;
        if (came_size[table] + size > MOST) {
            check_pass();
            begin(receiver.room);
        }
        if (size != 0)
            memcpy(came[table] + came_size[table], data, size);
        came_size[table] += size;
        frames++;
    }
    receiver_part(&receiver, part, size, more);
    if (topic)
        current = receiver.current;
    free(part);
}

static void add(size_t which) {
    const uint8_t *name = (const uint8_t *)topics[which].name;
    size_t size = strlen(topics[which].name);

    if (receiver_find(&receiver, name, size) == NULL)
        require(receiver_add(&receiver, name, size, &plan, topics[which].table, NULL) != NULL,
                "there is memory");
}

static void forget(size_t which) {
    const uint8_t *name = (const uint8_t *)topics[which].name;
    struct topic *topic = receiver_find(&receiver, name, strlen(topics[which].name));

    if (topic == NULL)
        return;
    if (current == topic)
        current = NULL;
    receiver_remove(&receiver, topic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = data + size;

    require(plan_open(&plan, 2), "there is memory");
    require(plan_set(&plan, 0, "int", false, -128, 127), "int is a base");
    require(plan_set(&plan, 1, "string", true, 0, 8), "string is a base");
    receiver_open(&receiver);
    current = NULL;
    for (size_t i = 0; i < TOPICS; i++)
        add(i);
    begin(MOST);

    while (end - data >= 2) {
        uint8_t step = data[0];
        uint8_t choice = data[1];
        data += 2;
        if (step < 0xc0 && !receiver.in_message) {
            const char *name = topics[choice % TOPICS].name;
            size_t cut = (step & 2) && name[0] ? 1 : 0; /* now and then, no topic of ours */
            take((const uint8_t *)name, strlen(name) - cut, step & 1);
        } else if (step < 0xc0) {
            size_t left = (size_t)(end - data);
            size_t length = choice < left ? choice : left;
            take(data, length, step & 1);
            data += length;
        } else if (step < 0xe0) {
            check_pass();
            begin((size_t)choice * 64);
        } else {
            check_pass(); /* what is forgotten takes its counts along */
            begin(receiver.room);
            if (step & 1)
                add(choice % TOPICS);
            else
                forget(choice % TOPICS);
        }
    }
    check_pass();
    receiver_close(&receiver);
    receiver_close(&receiver);
    plan_close(&plan);
    return 0;
}
