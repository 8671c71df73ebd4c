#include "moment.h"

#include "digits.h"

#define FIRST_SECOND INT64_C(-62135596800)
#define LAST_SECOND INT64_C(253402300799)
#define DAY 86400

bool moment_has_ms(int64_t ms) {
    return ms >= FIRST_SECOND * 1000 && ms <= LAST_SECOND * 1000 + 999;
}

bool moment_has_us(int64_t us) {
    return us >= FIRST_SECOND * 1000000 && us <= LAST_SECOND * 1000000 + 999999;
}

/* A year is taken to begin in March, so that the day that comes and goes is its last; then the
 * months' lengths follow one line. 400 years have 146,097 days. */
static uint8_t *date(uint8_t *at, uint32_t days) {
    uint32_t era = days / 146097;
    uint32_t day_of_era = days % 146097;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month = (5 * day_of_year + 2) / 153; /* from March */
    uint32_t day = day_of_year - (153 * month + 2) / 5 + 1;
    uint32_t year = era * 400 + year_of_era + (month >= 10);

    digits_pair(at, year / 100);
    digits_pair(at + 2, year % 100);
    at[4] = '-';
    digits_pair(at + 5, month < 10 ? month + 3 : month - 9);
    at[7] = '-';
    digits_pair(at + 8, day);
    at[10] = 'T';
    return at + 11;
}

static uint8_t *second(uint8_t *at, int64_t seconds) {
    uint64_t since = (uint64_t)(seconds - FIRST_SECOND);
    uint32_t of_day = (uint32_t)(since % DAY);

    /* The day before the first of the year 0001 is the 31st of December; March 1st of the year
     * 0000, from which `date` counts, is 306 days before it. */
    at = date(at, (uint32_t)(since / DAY) + 306);
    digits_pair(at, of_day / 3600);
    at[2] = ':';
    digits_pair(at + 3, of_day / 60 % 60);
    at[5] = ':';
    digits_pair(at + 6, of_day % 60);
    at[8] = '.';
    return at + 9;
}

/* Rounds down, also before the epoch. */
static int64_t quotient(int64_t value, int64_t by) {
    return value / by - (value % by < 0);
}

uint8_t *moment_ms(uint8_t *at, int64_t ms) {
    int64_t seconds = quotient(ms, 1000);

    at = digits_padded(second(at, seconds), (uint64_t)(ms - seconds * 1000), 3);
    *at++ = 'Z';
    return at;
}

uint8_t *moment_us(uint8_t *at, int64_t us) {
    int64_t seconds = quotient(us, 1000000);

    at = digits_padded(second(at, seconds), (uint64_t)(us - seconds * 1000000), 6);
    *at++ = 'Z';
    return at;
}
