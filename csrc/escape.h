/* Text as the inside of a JSON string. */
#ifndef KINETICA_BRIDGE_ESCAPE_H
#define KINETICA_BRIDGE_ESCAPE_H

#include "out.h"

/* Write text without its quotes, escaping what JSON asks for and nothing else; other control
 * characters as \u001f, in small letters. Returns where the text is not UTF-8, else NULL; what
 * was written until then is of no use. */
const uint8_t *escape(struct out *out, const uint8_t *text, size_t size);

#endif
