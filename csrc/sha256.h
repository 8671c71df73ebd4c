/* SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), over bytes that stand together. */
#ifndef KINETICA_BRIDGE_SHA256_H
#define KINETICA_BRIDGE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const uint8_t *data, size_t size, uint8_t digest[SHA256_SIZE]);

/* What the two passes of an HMAC begin with: the key itself is needed no more. */
struct hmac_key {
    uint32_t inner[8];
    uint32_t outer[8];
};

struct hmac_key hmac_key_of(const uint8_t *key, size_t size);

void hmac_sha256(const struct hmac_key *key, const uint8_t *data, size_t size,
                 uint8_t digest[SHA256_SIZE]);

#endif
