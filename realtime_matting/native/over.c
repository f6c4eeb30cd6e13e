/* A person over a background (Porter & Duff 1984, straight alpha). */

#include "kernels.h"

/* A share for each pixel of a block, repeated for its three colours. */
static inline void repeat(float *restrict to, const float *restrict shares, int n)
{
    for (int i = 0; i < n; i++)
        to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = shares[i];
}

/* out = B + α(F − B), rounded to the nearest; out may be the background. */
EXPORTED int KERNEL(over)(uint8_t *out, const uint8_t *foreground, const float *alpha, const uint8_t *background,
                          int height, int width)
{
    size_t pixels = (size_t)height * width;
    for (size_t from = 0; from < pixels; from += BLOCK) {
        int n = pixels - from < BLOCK ? (int)(pixels - from) : BLOCK, above_zero = 0, below_one = 0;
        const float *restrict shares = alpha + from;
        for (int i = 0; i < n; i++) {
            above_zero |= shares[i] > 0;
            below_one |= shares[i] < 1;
        }
        uint8_t *made = out + 3 * from;
        const uint8_t *front = foreground + 3 * from, *behind = background + 3 * from;
        if (!above_zero) {
            if (made != behind)
                memcpy(made, behind, 3 * (size_t)n);
        } else if (!below_one) {
            memcpy(made, front, 3 * (size_t)n);
        } else {
            float share[3 * BLOCK];
            uint8_t mixed[3 * BLOCK];
            repeat(share, shares, n);
            for (int i = 0; i < 3 * n; i++)
                mixed[i] = (uint8_t)(behind[i] + share[i] * ((float)front[i] - behind[i]) + 0.5f);
            memcpy(made, mixed, 3 * (size_t)n);
        }
    }
    return 1;
}
