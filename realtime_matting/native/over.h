/* A block of a person over a background (Porter & Duff 1984, straight alpha). */

#ifndef OVER_H
#define OVER_H

#include "kernels.h"

/* What the shares of a block's n pixels are: all 0, all 1, or neither. */
typedef enum { NOTHING, MIXED, EVERYTHING } Cover;

static inline Cover cover_of(const float *restrict shares, int n)
{
    int above_zero = 0, below_one = 0;
    for (int i = 0; i < n; i++) {
        above_zero |= shares[i] > 0;
        below_one |= shares[i] < 1;
    }
    return !above_zero ? NOTHING : below_one ? MIXED : EVERYTHING;
}

/* made = B + α(F − B), rounded to the nearest; made may be the background. */
static inline void mix_block(uint8_t *made, const uint8_t *front, const float *restrict shares, const uint8_t *behind,
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

/* The same, with as little work as the shares allow. */
static inline void over_block(uint8_t *made, const uint8_t *front, const float *restrict shares, const uint8_t *behind,
                              int n)
{
    Cover cover = cover_of(shares, n);
    if (cover == MIXED)
        mix_block(made, front, shares, behind, n);
    else if (cover == EVERYTHING)
        memcpy(made, front, 3 * (size_t)n);
    else if (made != behind)
        memcpy(made, behind, 3 * (size_t)n);
}

#endif
