/* Means of square windows; the picture's border goes on outside it. */

#ifndef BOX_H
#define BOX_H

#include "kernels.h"

/* Sums of 2·radius + 1 neighbours across, of a row; scratch: width + 2·radius numbers. */
static inline void sums_across(float *restrict to, const float *from, int width, int radius, float *restrict scratch)
{
    memcpy(scratch + radius, from, sizeof(float) * width);
    for (int i = 0; i < radius; i++) {
        scratch[i] = from[0];
        scratch[radius + width + i] = from[width - 1];
    }
    memcpy(to, scratch, sizeof(float) * width);
    for (int tap = 1; tap <= 2 * radius; tap++)
        for (int i = 0; i < width; i++)
            to[i] += scratch[i + tap];
}

/* to, from: (height, width), not the same. 0: no memory. */
static int box_means(float *restrict to, const float *restrict from, int height, int width, int radius)
{
    float *sums = malloc(sizeof(float) * 2 * ((size_t)width + radius));
    float scale = 1.0f / ((2 * radius + 1) * (2 * radius + 1));
    if (!sums)
        return 0;
    for (int y = 0; y < height; y++) {
        memset(sums, 0, sizeof(float) * width);
        for (int tap = -radius; tap <= radius; tap++) {
            int line = y + tap < 0 ? 0 : least(y + tap, height - 1);
            const float *restrict row = from + (size_t)line * width;
            for (int i = 0; i < width; i++)
                sums[i] += row[i];
        }
        float *restrict row = to + (size_t)y * width;
        sums_across(row, sums, width, radius, sums + width);
        for (int i = 0; i < width; i++)
            row[i] *= scale;
    }
    free(sums);
    return 1;
}

#endif
