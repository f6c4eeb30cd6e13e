/* A block of a person over a background (Porter & Duff 1984, straight alpha). */

#ifndef OVER_H
#define OVER_H

#include "kernels.h"

/* made = B + α(F − B), rounded to the nearest; made may be the background. */
FOR_ANY_SIZE void mix_pixels(uint8_t *made, const uint8_t *front, const float *restrict shares, const uint8_t *behind,
                             int n)
{
    float share[3 * BLOCK];
    uint8_t mixed[3 * BLOCK];
    for (int i = 0; i < n; i++)
        share[3 * i] = share[3 * i + 1] = share[3 * i + 2] = shares[i];
    for (int i = 0; i < 3 * n; i++)
        mixed[i] = (uint8_t)(behind[i] + share[i] * ((float)front[i] - behind[i]) + 0.5f);
    memcpy(made, mixed, 3 * (size_t)n);
}

/* The same, with as little work as the shares allow, which are of these kinds. */
FOR_ANY_SIZE void over_pixels(uint8_t *made, const uint8_t *front, const float *restrict shares, const uint8_t *behind,
                              int kinds, int n)
{
    if (kinds & ABOVE_ZERO && kinds & BELOW_ONE)
        mix_pixels(made, front, shares, behind, n);
    else if (kinds & ABOVE_ZERO)
        memcpy(made, front, 3 * (size_t)n);
    else if (made != behind)
        memcpy(made, behind, 3 * (size_t)n);
}

static inline void over_block(uint8_t *made, const uint8_t *front, const float *restrict shares, const uint8_t *behind,
                              int kinds, int n)
{
    if (n == BLOCK)
        over_pixels(made, front, shares, behind, kinds, BLOCK);
    else
        over_pixels(made, front, shares, behind, kinds, n);
}

#endif
