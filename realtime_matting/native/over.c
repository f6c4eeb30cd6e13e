/* A person, whose colours are known, over a background. */

#include "over.h"

/* out = B + α(F − B), rounded to the nearest; out may be the background. */
EXPORTED int KERNEL(over)(uint8_t *out, const uint8_t *foreground, const float *alpha, const uint8_t *background,
                          int height, int width)
{
    size_t pixels = (size_t)height * width;
    for (size_t from = 0; from < pixels; from += BLOCK) {
        int n = pixels - from < BLOCK ? (int)(pixels - from) : BLOCK;
        over_block(out + 3 * from, foreground + 3 * from, alpha + from, background + 3 * from,
                   kinds_in(alpha + from, n), n);
    }
    return 1;
}
