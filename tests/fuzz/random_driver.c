/* Drives a libFuzzer target without libFuzzer: the corpus, then mutations of it.
 *
 *     random_driver [-seed=N] [-runs=N] [-max_total_time=SECONDS] FOLDER...
 *
 * These mean what they mean to libFuzzer; its other options are ignored. The same seed gives the
 * same inputs. When the target dies, the input that killed it is printed in hex, ready to become
 * a corpus file.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <limits.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST 4096
#define MOST_FILES 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t bytes[LONGEST];
    size_t size;
};

static struct input corpus[MOST_FILES];
static struct input current;
static uint64_t state;
static size_t files;

static void print_input(void) {
    fprintf(stderr, "input:");
    for (size_t i = 0; i < current.size; i++)
        fprintf(stderr, " %02x", current.bytes[i]);
    fprintf(stderr, "\n");
}

static void on_abort(int number) {
    (void)number;
    print_input();
}

/* xorshift64*: even enough, and the same everywhere. */
static size_t below(size_t bound) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (size_t)((state * UINT64_C(2685821657736338717)) >> 33) % bound;
}

static uint8_t telling_byte(void) {
    static const uint8_t telling[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x0f, 0x10, 0x7e, 0x7f,
                                      0x80, 0xbf, 0xc0, 0xe0, 0xed, 0xf0, 0xf4, 0xfe, 0xff};
    return below(2) ? telling[below(sizeof telling)] : (uint8_t)below(256);
}

static void mutate(struct input *input) {
    size_t at = below(input->size + 1);
    size_t tail = input->size - at;

    switch (below(5)) {
    case 0: /* change */
        if (tail)
            input->bytes[at] = telling_byte();
        break;
    case 1: /* put in */
        if (input->size < LONGEST) {
            memmove(input->bytes + at + 1, input->bytes + at, tail);
            input->bytes[at] = telling_byte();
            input->size++;
        }
        break;
    case 2: /* take out */
        if (tail) {
            memmove(input->bytes + at, input->bytes + at + 1, tail - 1);
            input->size--;
        }
        break;
    case 3: /* cut off, now and then */
        if (below(4) == 0)
            input->size = at;
        break;
    default: /* the end once more */
        if (input->size + tail <= LONGEST) {
            memmove(input->bytes + input->size, input->bytes + at, tail);
            input->size += tail;
        }
    }
}

static void load(const char *path) {
    struct input *input = &corpus[files];
    FILE *file = fopen(path, "rb");

    if (file == NULL || files == MOST_FILES)
        return;
    input->size = fread(input->bytes, 1, LONGEST, file);
    fclose(file);
    files++;
}

static void load_folder(const char *path) {
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        char whole[4096];
        if (names[i]->d_name[0] != '.' && files < MOST_FILES &&
            snprintf(whole, sizeof whole, "%s/%s", path, names[i]->d_name) < (int)sizeof whole)
            load(whole);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

static unsigned long option(const char *argument, const char *name, unsigned long otherwise) {
    size_t size = strlen(name);
    return strncmp(argument, name, size) == 0 ? strtoul(argument + size, NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    unsigned long seed = (unsigned long)time(NULL), runs = ULONG_MAX, seconds = ULONG_MAX;

    for (int i = 1; i < argc; i++) {
        seed = option(argv[i], "-seed=", seed);
        runs = option(argv[i], "-runs=", runs);
        seconds = option(argv[i], "-max_total_time=", seconds);
        if (argv[i][0] != '-')
            load_folder(argv[i]);
    }
    if (files == 0) {
        fprintf(stderr, "no corpus: %s [-seed=N] [-runs=N] [-max_total_time=N] FOLDER...\n", argv[0]);
        return 2;
    }
    state = seed * 2 + 1; /* never 0, where xorshift stands still */
    __sanitizer_set_death_callback(print_input);
    signal(SIGABRT, on_abort);

    for (size_t i = 0; i < files; i++) {
        current = corpus[i];
        LLVMFuzzerTestOneInput(current.bytes, current.size);
    }
    time_t begun = time(NULL);
    unsigned long run = 0;
    for (; run < runs && (run % 256 != 0 || (unsigned long)(time(NULL) - begun) < seconds); run++) {
        current = corpus[below(files)];
        for (size_t i = 1 + below(6); i > 0; i--)
            mutate(&current);
        LLVMFuzzerTestOneInput(current.bytes, current.size);
    }
    printf("seed %lu: %lu runs\n", seed, run);
    return 0;
}
