/* BLAKE2b with a digest of 8 bytes and no key (RFC 7693). */
#ifndef KINETICA_BRIDGE_BLAKE2B_H
#define KINETICA_BRIDGE_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

/* The digest's bytes as a little-endian number. */
uint64_t blake2b_8(const uint8_t *data, size_t size);

#endif
