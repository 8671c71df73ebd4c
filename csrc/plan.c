#include "plan.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum base base;
    size_t least; /* bytes of the shortest value */
} bases[] = {
    {"int", BASE_INT, 1},       {"long", BASE_LONG, 1},     {"float", BASE_FLOAT, 4},
    {"double", BASE_DOUBLE, 8}, {"string", BASE_STRING, 1}, {"bytes", BASE_BYTES, 1},
};

bool plan_open(struct plan *plan, size_t count) {
    *plan = (struct plan){.count = count};
    plan->operations = calloc(count ? count : 1, sizeof *plan->operations);
    return plan->operations != NULL;
}

bool plan_set(struct plan *plan, size_t index, const char *base, bool nullable, int64_t low,
              int64_t high) {
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        if (strcmp(base, bases[i].name) != 0)
            continue;
        plan->operations[index] =
            (struct operation){.base = bases[i].base, .nullable = nullable, .low = low, .high = high};
        plan->least += nullable ? 1 : bases[i].least; /* a null is its union index alone */
        return true;
    }
    return false;
}

void plan_close(struct plan *plan) {
    free(plan->operations);
    *plan = (struct plan){0};
}
