/* Any text gives JSON that is not longer and, embedded again, stays as it is, or nothing at all;
 * as a string it is JSON in any case, if it is UTF-8.
 */
#include "embed.h"
#include "escape.h"
#include "fuzz.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct out once = {.grow = out_grow}, twice = {.grow = out_grow}, quoted = {.grow = out_grow};
    uint8_t *text = malloc(size ? size : 1); /* of exactly its size, for ASan */
    require(text != NULL, "there is memory");
    if (size)
        memcpy(text, data, size);

    if (embed(&once, text, size)) {
        require(once.size > 0 && once.size <= size, "compact is not longer");
        require(embed(&twice, once.data, once.size), "what was embedded is JSON");
        require(twice.size == once.size && memcmp(twice.data, once.data, once.size) == 0,
                "and compact already");
    } else
        require(once.size == 0, "what is no JSON leaves nothing behind");

    out_byte(&quoted, '"');
    const uint8_t *bad = escape(&quoted, text, size);
    require(bad == utf8_first_bad(text, size), "one verdict on UTF-8");
    out_byte(&quoted, '"');
    twice.size = 0;
    if (bad == NULL) {
        require(quoted.size >= size + 2, "escaping takes nothing away");
        require(embed(&twice, quoted.data, quoted.size), "a string is JSON");
        require(twice.size == quoted.size, "and stays as it is");
    }
    free(text);
    free(once.data);
    free(twice.data);
    free(quoted.data);
    return 0;
}
