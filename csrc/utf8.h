/* Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef KINETICA_BRIDGE_UTF8_H
#define KINETICA_BRIDGE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Where the first sequence begins that is not well formed; NULL if there is none. */
const uint8_t *utf8_first_bad(const uint8_t *data, size_t size);

/* The length of the sequence of several bytes that begins at `at`, of which `left` are there;
 * 0 if it is not well formed. */
size_t utf8_sequence(const uint8_t *at, size_t left);

#endif
