#include "sha256.h"

#include <string.h>

#define BLOCK 64
#define COUNTED_AT (BLOCK - 8) /* the last block ends with how many bits there were */

static const uint32_t start[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint32_t rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t turn(uint32_t word, unsigned by) {
    return word >> by | word << (32 - by);
}

static void compress(uint32_t *state, const uint8_t *block) {
    uint32_t words[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4],
                        f = state[5], g = state[6], h = state[7];

    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t one = words[i - 15], two = words[i - 2];
        words[i] = words[i - 16] + (turn(one, 7) ^ turn(one, 18) ^ one >> 3) + words[i - 7] +
                   (turn(two, 17) ^ turn(two, 19) ^ two >> 10);
    }
    for (int i = 0; i < 64; i++) {
        uint32_t first = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) +
                         rounds[i] + words[i];
        uint32_t second =
            (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

/* Go on from a state that `before` bytes, whole blocks, have led to, up to the end. */
static void finish(const uint32_t *from, uint64_t before, const uint8_t *data, size_t size,
                   uint8_t *digest) {
    uint32_t state[8];
    uint8_t block[BLOCK] = {0};
    uint64_t bits = (before + size) * 8;

    memcpy(state, from, sizeof state);
    for (; size >= BLOCK; size -= BLOCK, data += BLOCK)
        compress(state, data);
    if (size)
        memcpy(block, data, size);
    block[size] = 0x80;
    if (size >= COUNTED_AT) {
        compress(state, block);
        memset(block, 0, sizeof block);
    }
    for (int i = 0; i < 8; i++)
        block[BLOCK - 1 - i] = (uint8_t)(bits >> 8 * i);
    compress(state, block);
    for (int i = 0; i < SHA256_SIZE; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256(const uint8_t *data, size_t size, uint8_t digest[SHA256_SIZE]) {
    finish(start, 0, data, size, digest);
}

struct hmac_key hmac_key_of(const uint8_t *key, size_t size) {
    struct hmac_key made;
    uint8_t block[BLOCK] = {0};

    if (size > BLOCK)
        sha256(key, size, block);
    else if (size)
        memcpy(block, key, size);
    memcpy(made.inner, start, sizeof start);
    memcpy(made.outer, start, sizeof start);
    for (int i = 0; i < BLOCK; i++)
        block[i] ^= 0x36;
    compress(made.inner, block);
    for (int i = 0; i < BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    compress(made.outer, block);
    return made;
}

void hmac_sha256(const struct hmac_key *key, const uint8_t *data, size_t size,
                 uint8_t digest[SHA256_SIZE]) {
    uint8_t inner[SHA256_SIZE];

    finish(key->inner, BLOCK, data, size, inner);
    finish(key->outer, BLOCK, inner, sizeof inner, digest);
}
