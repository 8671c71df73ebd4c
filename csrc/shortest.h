/* Floats as the shortest decimal that reads back equal, and of those the nearest. */
#ifndef KINETICA_BRIDGE_SHORTEST_H
#define KINETICA_BRIDGE_SHORTEST_H

#include <stdint.h>

#define SHORTEST_MOST 32 /* bytes that a number may need */

/* Write a finite number as JSON; returns the place behind it. Fixed notation from 0.00001 to
 * below 1e16, else an exponent: 1.5, 100.0, 1e+16, 2.5e-7. */
uint8_t *shortest_double(uint8_t *at, double value);

/* The same at 32 bits: what a reader of 32-bit floats takes for `value`. */
uint8_t *shortest_float(uint8_t *at, float value);

#endif
