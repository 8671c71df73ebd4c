/* Any bytes, the first of them as a key, have the digest that a slow reading of the standard comes
 * to: constants worked out, the whole message padded in one piece.
 */
#include "fuzz.h"
#include "sha256.h"

#define BLOCK 64

static uint32_t starts[8], constants[64];

/* The first 32 bits behind the point of a prime's square root (power 2) or cube root (power 3). */
static uint32_t root_of(unsigned prime, unsigned power) {
    unsigned __int128 wanted = (unsigned __int128)prime << 32 * power;
    uint64_t root = 0;

    for (int bit = 34; bit >= 0; bit--) { /* both are less than 7 */
        unsigned __int128 next = root | UINT64_C(1) << bit;
        if ((power == 2 ? next * next : next * next * next) <= wanted)
            root = (uint64_t)next;
    }
    return (uint32_t)root;
}

static void work_out(void) {
    unsigned found = 0;

    for (unsigned number = 2; found < 64; number++) {
        bool prime = true;
        for (unsigned by = 2; by < number; by++)
            prime &= number % by != 0;
        if (!prime)
            continue;
        if (found < 8)
            starts[found] = root_of(number, 2);
        constants[found++] = root_of(number, 3);
    }
}

static uint32_t right(uint32_t word, unsigned by) {
    return word >> by | word << (32 - by);
}

static void slow_sha256(const uint8_t *data, size_t size, uint8_t *digest) {
    size_t whole = (size + 8) / BLOCK * BLOCK + BLOCK;
    uint8_t *message = calloc(whole, 1);
    uint32_t h[8], v[8], w[64];

    require(message != NULL, "there is memory");
    memcpy(message, data, size);
    message[size] = 0x80;
    for (int i = 0; i < 8; i++)
        message[whole - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
    memcpy(h, starts, sizeof h);
    for (size_t at = 0; at < whole; at += BLOCK) {
        for (int t = 0; t < 64; t++) {
            if (t < 16) {
                w[t] = 0;
                for (int i = 0; i < 4; i++)
                    w[t] = w[t] << 8 | message[at + 4 * t + i];
            } else {
                uint32_t x = w[t - 15], y = w[t - 2];
                w[t] = (right(y, 17) ^ right(y, 19) ^ y >> 10) + w[t - 7] +
                       (right(x, 7) ^ right(x, 18) ^ x >> 3) + w[t - 16];
            }
        }
        memcpy(v, h, sizeof v);
        for (int t = 0; t < 64; t++) {
            uint32_t one = v[7] + (right(v[4], 6) ^ right(v[4], 11) ^ right(v[4], 25)) +
                           ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[t] + w[t];
            uint32_t two = (right(v[0], 2) ^ right(v[0], 13) ^ right(v[0], 22)) +
                           ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += one;
            v[0] = one + two;
        }
        for (int i = 0; i < 8; i++)
            h[i] += v[i];
    }
    for (int i = 0; i < SHA256_SIZE; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    free(message);
}

static void slow_hmac(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size,
                      uint8_t *digest) {
    uint8_t padded[BLOCK] = {0}, *text = malloc(BLOCK + SHA256_SIZE + size);

    require(text != NULL, "there is memory");
    if (key_size > BLOCK)
        slow_sha256(key, key_size, padded);
    else
        memcpy(padded, key, key_size);
    for (int i = 0; i < BLOCK; i++)
        text[i] = padded[i] ^ 0x36;
    memcpy(text + BLOCK, data, size);
    slow_sha256(text, BLOCK + size, digest);
    for (int i = 0; i < BLOCK; i++)
        text[i] = padded[i] ^ 0x5c;
    memcpy(text + BLOCK, digest, SHA256_SIZE);
    slow_sha256(text, BLOCK + SHA256_SIZE, digest);
    free(text);
}

/* The standard's own examples, so that the slow reading is one of it. */
static void check_examples(void) {
    static const struct {
        const char *message;
        uint8_t begin[4];
    } examples[] = {
        {"", {0xe3, 0xb0, 0xc4, 0x42}},
        {"abc", {0xba, 0x78, 0x16, 0xbf}},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", {0x24, 0x8d, 0x6a, 0x61}},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
         "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
         {0xcf, 0x5b, 0x16, 0xa7}},
    };

    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        const uint8_t *message = (const uint8_t *)examples[i].message;
        uint8_t fast[SHA256_SIZE], slow[SHA256_SIZE];
        sha256(message, strlen(examples[i].message), fast);
        slow_sha256(message, strlen(examples[i].message), slow);
        require(memcmp(fast, examples[i].begin, 4) == 0, "the digest of the standard's example");
        require(memcmp(fast, slow, sizeof fast) == 0, "and so says the slow reading");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t none[1];
    uint8_t fast[SHA256_SIZE], slow[SHA256_SIZE];

    if (constants[0] == 0) {
        work_out();
        check_examples();
    }
    size_t key_size = size ? data[0] % (size < 160 ? size : 160) : 0;
    /* Memory of exactly their sizes, for ASan. */
    uint8_t *key = malloc(key_size ? key_size : 1), *text = malloc(size ? size : 1);
    require(key != NULL && text != NULL, "there is memory");
    memcpy(key, size ? data : none, key_size);
    memcpy(text, size ? data : none, size);

    sha256(text, size, fast);
    slow_sha256(text, size, slow);
    require(memcmp(fast, slow, sizeof fast) == 0, "the digest");
    struct hmac_key made = hmac_key_of(key, key_size);
    hmac_sha256(&made, text, size, fast);
    slow_hmac(key, key_size, text, size, slow);
    require(memcmp(fast, slow, sizeof fast) == 0, "the digest with a key");
    free(key);
    free(text);
    return 0;
}
