#include "form.h"

/* Each form, and the base types that it can be of. */
#define ON(base) (1u << (base))
static const struct {
    const char *name;
    unsigned bases;
} forms[] = {
    [FORM_NUMBER] = {"number", ON(BASE_INT) | ON(BASE_LONG)},
    [FORM_BOOLEAN] = {"boolean", ON(BASE_INT) | ON(BASE_LONG)},
    [FORM_TIMESTAMP] = {"timestamp", ON(BASE_INT) | ON(BASE_LONG)},
    [FORM_FLOAT] = {"float", ON(BASE_FLOAT)},
    [FORM_DOUBLE] = {"double", ON(BASE_DOUBLE)},
    [FORM_TEXT] = {"text", ON(BASE_STRING)},
    [FORM_DATETIME] = {"datetime", ON(BASE_STRING)},
    [FORM_ULONG] = {"ulong", ON(BASE_STRING)},
    [FORM_JSON] = {"json", ON(BASE_STRING)},
    [FORM_VECTOR] = {"vector", ON(BASE_BYTES)},
    [FORM_BASE64] = {"base64", ON(BASE_BYTES)},
};

bool object_open(struct object *object, size_t count) {
    *object = (struct object){.count = count, .in_wire_order = true};
    object->members = calloc(count ? count : 1, sizeof *object->members);
    return object->members != NULL;
}

static enum object_error set_mask(struct member *member, const struct wish *wish) {
    if (wish->mask == NULL)
        return OBJECT_GOOD;
    if (strcmp(wish->mask, "redact") == 0) {
        member->mask = MASK_REDACT;
        return OBJECT_GOOD;
    }
    if (strcmp(wish->mask, "hash") != 0)
        return OBJECT_NO_MASK;
    member->mask_key = malloc(sizeof *member->mask_key);
    if (member->mask_key == NULL)
        return OBJECT_NO_MEMORY;
    *member->mask_key = hmac_key_of(wish->mask_key, wish->mask_key_size);
    member->mask = MASK_HASH;
    return OBJECT_GOOD;
}

enum object_error object_set(struct object *object, const struct plan *plan, size_t index,
                             const struct wish *wish) {
    struct member *member = &object->members[index];
    size_t found = 0;

    if (wish->place >= plan->count)
        return OBJECT_NO_COLUMN;
    while (found < sizeof forms / sizeof *forms && strcmp(wish->form, forms[found].name) != 0)
        found++;
    if (found == sizeof forms / sizeof *forms ||
        (forms[found].bases & ON(plan->operations[wish->place].base)) == 0)
        return OBJECT_NO_FORM;
    member->place = wish->place;
    member->form = (enum form)found;
    member->head_size = wish->name_size + 1;
    member->head = malloc(member->head_size);
    if (member->head == NULL)
        return OBJECT_NO_MEMORY;
    member->head[0] = index ? ',' : '{';
    memcpy(member->head + 1, wish->name, wish->name_size);
    if (index > 0 && wish->place <= object->members[index - 1].place)
        object->in_wire_order = false;
    return set_mask(member, wish);
}

void object_close(struct object *object) {
    for (size_t i = 0; object->members != NULL && i < object->count; i++) {
        free(object->members[i].head);
        free(object->members[i].mask_key);
    }
    free(object->members);
    *object = (struct object){0};
}

void object_end(struct out *out, const struct object *object) {
    if (object->count == 0)
        out_text(out, "{}", 2);
    else
        out_byte(out, '}');
}
