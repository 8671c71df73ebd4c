/* Moments as RFC 3339 text in UTC, years 0001 to 9999. */
#ifndef KINETICA_BRIDGE_MOMENT_H
#define KINETICA_BRIDGE_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#define MOMENT_MOST 32

/* Milliseconds and microseconds since the epoch that have a year of four digits. */
bool moment_has_ms(int64_t ms);
bool moment_has_us(int64_t us);

/* 2026-11-23T08:42:00.123Z; returns the place behind it. */
uint8_t *moment_ms(uint8_t *at, int64_t ms);

/* 2026-11-23T08:42:00.123456Z */
uint8_t *moment_us(uint8_t *at, int64_t us);

#endif
