// Every finite 32-bit float is written with the digits of std::to_chars (C++17), and so are
// doubles: the powers of two with their neighbours, then random ones.
//
//     check_floats [DOUBLES [FIRST [LAST]]]
//
// FIRST and LAST bound the bits of the floats, so that a run can be taken up where it ended.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

extern "C" {
#include "shortest.h"
}

namespace {

// Digits without zeros at the ends, and the power of ten of the first one.
struct Number {
    char digits[64];
    int count;
    int exponent;
};

Number read(const char *at, const char *end) {
    Number number{};
    int point = -1, exponent = 0, before = 0;

    for (; at != end && *at != 'e'; at++) {
        if (*at == '-')
            continue;
        if (*at == '.')
            point = number.count + before;
        else if (*at == '0' && number.count == 0)
            before++;
        else
            number.digits[number.count++] = *at;
    }
    if (at != end)
        exponent = std::atoi(at + 1);
    if (point < 0)
        point = number.count + before;
    number.exponent = exponent + point - before - 1;
    while (number.count > 0 && number.digits[number.count - 1] == '0')
        number.count--;
    return number;
}

template <typename Float, typename Write> void check(Float value, Write write) {
    char ours[SHORTEST_MOST + 1], theirs[64];
    uint8_t *end = write(reinterpret_cast<uint8_t *>(ours), value);
    auto result = std::to_chars(theirs, theirs + sizeof theirs - 1, value, std::chars_format::scientific);
    *end = 0; // where atoi stops
    *result.ptr = 0;
    Number one = read(ours, reinterpret_cast<char *>(end));
    Number other = read(theirs, result.ptr);

    if (one.count == other.count && std::memcmp(one.digits, other.digits, one.count) == 0 &&
        (one.count == 0 || one.exponent == other.exponent))
        return;
    std::printf("%s, not %s\n", ours, theirs);
    std::exit(1);
}

void check_double(uint64_t bits) {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (value - value == 0)
        check(value, shortest_double);
}

} // namespace

int main(int argc, char **argv) {
    uint64_t doubles = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 100000000;
    uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 0;
    uint64_t last = argc > 3 ? std::strtoull(argv[3], nullptr, 0) : 0x7f7fffff;

    for (uint64_t exponent = 0; exponent < 2047; exponent++)
        for (uint64_t step = 0; step < 1000; step++) {
            check_double((exponent << 52) + step);
            check_double(((exponent + 1) << 52) - 1 - step);
        }
    std::mt19937_64 random(std::random_device{}());
    for (uint64_t i = 0; i < doubles; i++)
        check_double(random());
    std::printf("%llu random doubles\n", static_cast<unsigned long long>(doubles));
    std::fflush(stdout);

    for (uint64_t bits = first; bits <= last; bits++) {
        uint32_t narrow = static_cast<uint32_t>(bits);
        float value;
        std::memcpy(&value, &narrow, sizeof value);
        check(value, shortest_float);
        if ((bits & 0xfffffff) == 0xfffffff) {
            std::printf("floats up to 0x%08x\n", narrow);
            std::fflush(stdout);
        }
    }
    std::printf("every float\n");
    return 0;
}
