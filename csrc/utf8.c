#include "utf8.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* The second byte's bounds close what the lead byte leaves open: overlong forms (E0, F0),
 * surrogates (ED), and what lies above U+10FFFF (F4). */
size_t utf8_sequence(const uint8_t *at, size_t left) {
    uint8_t lead = at[0];
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t length;

    if (lead >= 0xc2 && lead <= 0xdf)
        length = 2;
    else if (lead >= 0xe0 && lead <= 0xef)
        length = 3;
    else if (lead >= 0xf0 && lead <= 0xf4)
        length = 4;
    else
        return 0;

    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;

    if (left < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

const uint8_t *utf8_first_bad(const uint8_t *data, size_t size) {
    const uint8_t *at = data;
    const uint8_t *end = data + size;

    while (at != end) {
        size_t left = (size_t)(end - at);
        if (left >= sizeof(uint64_t)) {
            uint64_t word;
            memcpy(&word, at, sizeof word);
            if ((word & HIGH_BITS) == 0) {
                at += sizeof word;
                continue;
            }
        }
        if (*at < 0x80) {
            at++;
            continue;
        }
        size_t length = utf8_sequence(at, left);
        if (length == 0)
            return at;
        at += length;
    }
    return NULL;
}
