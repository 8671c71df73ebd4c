#include "blake2b.h"

#include <stdbool.h>
#include <string.h>

#define BLOCK 128

static const uint64_t start[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
    UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
    UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

static const uint8_t orders[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static inline uint64_t turn(uint64_t word, unsigned by) {
    return word >> by | word << (64 - by);
}

static inline uint64_t word_at(const uint8_t *data) {
    uint64_t word = 0;

    for (int i = 7; i >= 0; i--)
        word = word << 8 | data[i];
    return word;
}

static inline void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x;
    v[d] = turn(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = turn(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = turn(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = turn(v[b] ^ v[c], 63);
}

static void compress(uint64_t *state, const uint8_t *block, uint64_t counted, bool last) {
    uint64_t words[16], v[16];

    for (int i = 0; i < 16; i++)
        words[i] = word_at(block + 8 * i);
    memcpy(v, state, 8 * sizeof *v);
    memcpy(v + 8, start, sizeof start);
    v[12] ^= counted;
    if (last)
        v[14] = ~v[14];
    for (int round = 0; round < 12; round++) {
        const uint8_t *order = orders[round];
        mix(v, 0, 4, 8, 12, words[order[0]], words[order[1]]);
        mix(v, 1, 5, 9, 13, words[order[2]], words[order[3]]);
        mix(v, 2, 6, 10, 14, words[order[4]], words[order[5]]);
        mix(v, 3, 7, 11, 15, words[order[6]], words[order[7]]);
        mix(v, 0, 5, 10, 15, words[order[8]], words[order[9]]);
        mix(v, 1, 6, 11, 12, words[order[10]], words[order[11]]);
        mix(v, 2, 7, 8, 13, words[order[12]], words[order[13]]);
        mix(v, 3, 4, 9, 14, words[order[14]], words[order[15]]);
    }
    for (int i = 0; i < 8; i++)
        state[i] ^= v[i] ^ v[i + 8];
}

uint64_t blake2b_8(const uint8_t *data, size_t size) {
    uint64_t state[8];
    uint8_t block[BLOCK] = {0};
    uint64_t counted = 0;

    memcpy(state, start, sizeof state);
    state[0] ^= UINT64_C(0x01010000) ^ 8;
    for (; size > BLOCK; size -= BLOCK, data += BLOCK) {
        counted += BLOCK;
        compress(state, data, counted, false);
    }
    if (size)
        memcpy(block, data, size);
    compress(state, block, counted + size, true);
    return state[0];
}
