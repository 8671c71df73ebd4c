/* One pass over the tokens; of what is open, one bit each is kept: array or object. */
#include "embed.h"

enum wanted {
    VALUE,
    VALUE_OR_END, /* after [ */
    NAME,
    NAME_OR_END, /* after { */
    COLON,
    COMMA, /* or the end of what is open, or of the text */
};

struct pass {
    const uint8_t *at;
    const uint8_t *end;
    unsigned levels;
    uint8_t objects[(EMBED_MOST_LEVELS + 7) / 8]; /* a bit for each level */
};

static bool in_object(const struct pass *pass) {
    unsigned level = pass->levels - 1;
    return (pass->objects[level / 8] >> level % 8 & 1) != 0;
}

static bool open_level(struct pass *pass, bool object) {
    if (pass->levels == EMBED_MOST_LEVELS)
        return false;
    unsigned level = pass->levels++;
    uint8_t bit = (uint8_t)(1u << level % 8);
    if (object)
        pass->objects[level / 8] |= bit;
    else
        pass->objects[level / 8] &= (uint8_t)~bit;
    return true;
}

/* Strings */

/* Four hexadecimal digits, -1 for anything else. */
static int code_unit(const uint8_t *at, const uint8_t *end) {
    int unit = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t byte = at[i];
        int digit;
        if (byte >= '0' && byte <= '9')
            digit = byte - '0';
        else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
            digit = (byte | 0x20) - 'a' + 10;
        else
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Behind a backslash; NULL if no escape stands there. */
static const uint8_t *skip_escape(const uint8_t *at, const uint8_t *end) {
    if (at == end)
        return NULL;
    if (*at != 'u')
        return memchr("\"\\/bfnrt", *at, 8) ? at + 1 : NULL;

    int unit = code_unit(at + 1, end);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return NULL;
    at += 5;
    if (unit < 0xd800 || unit > 0xdbff)
        return at;
    if (end - at < 2 || at[0] != '\\' || at[1] != 'u')
        return NULL;
    unit = code_unit(at + 2, end);
    return unit >= 0xdc00 && unit <= 0xdfff ? at + 6 : NULL;
}

/* From an opening quote to behind the closing one; NULL if it is no string. */
static const uint8_t *skip_string(const uint8_t *at, const uint8_t *end) {
    at++;
    while (at != end) {
        uint8_t byte = *at++;
        if (byte == '"')
            return at;
        if (byte < 0x20)
            return NULL;
        if (byte == '\\') {
            at = skip_escape(at, end);
            if (at == NULL)
                return NULL;
        }
    }
    return NULL;
}

/* Numbers */

static bool is_digit(const uint8_t *at, const uint8_t *end) {
    return at != end && *at >= '0' && *at <= '9';
}

static const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end) {
    while (is_digit(at, end))
        at++;
    return at;
}

/* The first number that a double cannot hold, half a step beyond the greatest one: 309 digits. */
static const char too_large[] =
    "17976931348623158079372897140530341507993413271003782693617377898044"
    "49682927647509466490179775872070963302864166928879109465555478519404"
    "02630657488671505820681908902000708383676273854845817711531764475730"
    "27006985557136695962284291481986083493647529271907416844436551070434"
    "2711559699508093042880177904174497792";
#define GREATEST_EXPONENT 308
_Static_assert(sizeof too_large == GREATEST_EXPONENT + 2, "digits, and the zero behind them");

struct number {
    const uint8_t *whole, *whole_end;
    const uint8_t *part, *part_end; /* behind the point */
    int64_t exponent;               /* kept within bounds that no text reaches */
};

/* Whether the digits, as many as there are, stand at or beyond those of `too_large`. */
static bool reaches(const struct number *number, const uint8_t *first) {
    const uint8_t *at = first;

    for (const char *limit = too_large; *limit; limit++) {
        if (at == number->whole_end)
            at = number->part;
        char digit = at == number->part_end ? '0' : (char)*at++;
        if (digit != *limit)
            return digit > *limit;
    }
    return true;
}

static bool in_range(const struct number *number) {
    const uint8_t *first = number->whole;
    int64_t exponent;

    while (first != number->whole_end && *first == '0')
        first++;
    if (first != number->whole_end)
        exponent = number->whole_end - first - 1;
    else {
        first = number->part;
        while (first != number->part_end && *first == '0')
            first++;
        if (first == number->part_end)
            return true; /* zero */
        exponent = number->part - first - 1;
    }
    exponent += number->exponent;
    if (exponent != GREATEST_EXPONENT)
        return exponent < GREATEST_EXPONENT;
    return !reaches(number, first);
}

static int64_t exponent_of(const uint8_t *at, const uint8_t *end, bool negative) {
    int64_t exponent = 0;

    for (; at != end; at++)
        if (exponent < INT64_MAX / 100)
            exponent = exponent * 10 + (*at - '0');
    return negative ? -exponent : exponent;
}

/* NULL if it is no number, or one that common parsers refuse. */
static const uint8_t *skip_number(const uint8_t *at, const uint8_t *end) {
    struct number number = {.exponent = 0};

    if (*at == '-')
        at++;
    number.whole = at;
    at = skip_digits(at, end);
    number.whole_end = number.part = number.part_end = at;
    if (at == number.whole || (*number.whole == '0' && at - number.whole > 1))
        return NULL;
    if (at != end && *at == '.') {
        number.part = at + 1;
        at = number.part_end = skip_digits(at + 1, end);
        if (number.part == number.part_end)
            return NULL;
    }
    if (at != end && (*at | 0x20) == 'e') {
        at++;
        bool negative = at != end && *at == '-';
        if (at != end && (*at == '-' || *at == '+'))
            at++;
        if (!is_digit(at, end))
            return NULL;
        const uint8_t *first = at;
        at = skip_digits(at, end);
        number.exponent = exponent_of(first, at, negative);
    }
    return in_range(&number) ? at : NULL;
}

/* The text */

static const uint8_t *skip_word(const uint8_t *at, const uint8_t *end, const char *word) {
    size_t size = strlen(word);
    return (size_t)(end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

static const uint8_t *skip_scalar(const uint8_t *at, const uint8_t *end) {
    switch (*at) {
    case '"':
        return skip_string(at, end);
    case 't':
        return skip_word(at, end, "true");
    case 'f':
        return skip_word(at, end, "false");
    case 'n':
        return skip_word(at, end, "null");
    default:
        return *at == '-' || is_digit(at, end) ? skip_number(at, end) : NULL;
    }
}

/* One token; behind it the pass goes on. False where it is not wanted. */
static bool take(struct pass *pass, enum wanted *wanted) {
    uint8_t byte = *pass->at;
    bool value = *wanted == VALUE || *wanted == VALUE_OR_END;

    switch (byte) {
    case '[':
    case '{':
        pass->at++;
        *wanted = byte == '[' ? VALUE_OR_END : NAME_OR_END;
        return value && open_level(pass, byte == '{');
    case ']':
    case '}':
        pass->at++;
        if (pass->levels == 0 || in_object(pass) != (byte == '}') ||
            (*wanted != COMMA && *wanted != (byte == ']' ? VALUE_OR_END : NAME_OR_END)))
            return false;
        pass->levels--;
        *wanted = COMMA;
        return true;
    case ',':
        pass->at++;
        if (*wanted != COMMA || pass->levels == 0)
            return false;
        *wanted = in_object(pass) ? NAME : VALUE;
        return true;
    case ':':
        pass->at++;
        if (*wanted != COLON)
            return false;
        *wanted = VALUE;
        return true;
    default:
        if (*wanted == NAME || *wanted == NAME_OR_END) {
            if (byte != '"')
                return false;
            *wanted = COLON;
        } else if (value)
            *wanted = COMMA;
        else
            return false;
        pass->at = skip_scalar(pass->at, pass->end);
        return pass->at != NULL;
    }
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

bool embed(struct out *out, const uint8_t *text, size_t size) {
    struct pass pass = {.at = text, .end = text + size};
    enum wanted wanted = VALUE;
    uint8_t *to = out_room(out, size);
    /* What was taken and not yet copied, up to the next space. */
    const uint8_t *begin = text;

    if (to == NULL)
        return true; /* the buffer says why */
    while (pass.at != pass.end) {
        if (is_space(*pass.at)) {
            memcpy(to, begin, (size_t)(pass.at - begin));
            to += pass.at - begin;
            while (pass.at != pass.end && is_space(*pass.at))
                pass.at++;
            begin = pass.at;
        } else if (!take(&pass, &wanted))
            return false;
    }
    if (wanted != COMMA || pass.levels != 0)
        return false;
    memcpy(to, begin, (size_t)(pass.end - begin));
    out_up_to(out, to + (pass.end - begin));
    return true;
}
