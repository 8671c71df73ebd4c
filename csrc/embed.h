/* JSON that arrives as text and leaves as JSON. */
#ifndef KINETICA_BRIDGE_EMBED_H
#define KINETICA_BRIDGE_EMBED_H

#include "out.h"

/* Nested deeper, a text stays a string: common parsers stop short of 1,000 levels, and the
 * event and its record stand around it. */
#define EMBED_MOST_LEVELS (900 - 2)

/* Write a JSON text (UTF-8 already) without the space between its tokens, else untouched. False
 * when it is no JSON, or what common parsers refuse: lone surrogates, numbers beyond the range
 * of a double, more than EMBED_MOST_LEVELS levels. Then nothing is written. */
bool embed(struct out *out, const uint8_t *text, size_t size);

#endif
