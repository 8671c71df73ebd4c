/* Most text is plain: no quote, no backslash, no control character, all ASCII. It is looked at
 * and copied 16 bytes at a time, then 8; what is not plain is taken one by one, and then the
 * next plain run begins. */
#include "escape.h"

#include "utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 16
#define LONGEST_ESCAPE 6
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether any of 8 bytes is special. A carry may only make a byte after a special one look so. */
static inline uint64_t special_in_word(uint64_t word) {
    uint64_t quote = word ^ EACH('"');
    uint64_t backslash = word ^ EACH('\\');

    return ((word - EACH(0x20)) | (quote - EACH(1)) | (backslash - EACH(1)) | word) & EACH(0x80);
}

static inline bool plain(uint8_t byte) {
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Copy the plain bytes that come first; room for a block more than there is text. */
static inline size_t copy_plain(uint8_t *to, const uint8_t *at, const uint8_t *end) {
    const uint8_t *first = at;

#ifdef __SSE2__
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    while (end - at >= BLOCK) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* Signed: what is not ASCII is less than a space too. */
        __m128i special = _mm_or_si128(
            _mm_cmplt_epi8(bytes, space),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        _mm_storeu_si128((__m128i *)(void *)to, bytes);
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask != 0)
            return (size_t)(at - first) + (size_t)__builtin_ctz(mask);
        at += BLOCK;
        to += BLOCK;
    }
#endif
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (special_in_word(word))
            break;
        memcpy(to, &word, 8);
        at += 8;
        to += 8;
    }
    while (at != end && plain(*at))
        *to++ = *at++;
    return (size_t)(at - first);
}

static size_t write_escape(uint8_t *to, uint8_t byte) {
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

    to[0] = '\\';
    if (byte >= 0x20) {
        to[1] = byte;
        return 2;
    }
    if (letters[byte]) {
        to[1] = (uint8_t)letters[byte];
        return 2;
    }
    memcpy(to + 1, "u00", 3);
    to[4] = (uint8_t)hex[byte >> 4];
    to[5] = (uint8_t)hex[byte & 15];
    return LONGEST_ESCAPE;
}

const uint8_t *escape(struct out *out, const uint8_t *text, size_t size) {
    const uint8_t *at = text;
    const uint8_t *end = text + size;
    uint8_t *to = out_room(out, size + BLOCK);

    while (to != NULL) {
        size_t run = copy_plain(to, at, end);
        at += run;
        to += run;
        while (at != end && *at >= 0x80) {
            size_t length = utf8_sequence(at, (size_t)(end - at));
            if (length == 0)
                return at;
            for (size_t i = 0; i < length; i++)
                *to++ = *at++;
        }
        if (at == end) {
            out_up_to(out, to);
            return NULL;
        }
        if (!plain(*at)) {
            out_up_to(out, to);
            to = out_room(out, LONGEST_ESCAPE + (size_t)(end - at) + BLOCK);
            if (to != NULL)
                to += write_escape(to, *at++);
        }
    }
    return NULL;
}
