/* Means of square windows; the picture's border goes on outside it. */

#ifndef BOX_H
#define BOX_H

#include "kernels.h"

/* Sums of 2·radius + 1 neighbours across: from (width, channels) to the same; scratch: (width + 2·radius) · channels. */
static inline void sums_across(float *restrict to, const float *from, int width, int channels, int radius,
                               float *restrict scratch)
{
    int n = width * channels, margin = radius * channels;
    memcpy(scratch + margin, from, sizeof(float) * n);
    for (int i = 0; i < margin; i++) {
        scratch[i] = from[i % channels];
        scratch[margin + n + i] = from[n - channels + i % channels];
    }
    for (int i = 0; i < n; i++)
        to[i] = scratch[i];
    for (int tap = 1; tap <= 2 * radius; tap++)
        for (int i = 0; i < n; i++)
            to[i] += scratch[i + tap * channels];
}

/* to, from: (height, width, channels), not the same. 0: no memory. */
static int box_means(float *restrict to, const float *restrict from, int height, int width, int channels, int radius)
{
    int n = width * channels;
    float *sums = malloc(sizeof(float) * (n + (size_t)(width + 2 * radius) * channels));
    float scale = 1.0f / ((2 * radius + 1) * (2 * radius + 1));
    if (!sums)
        return 0;
    for (int y = 0; y < height; y++) {
        memset(sums, 0, sizeof(float) * n);
        for (int tap = -radius; tap <= radius; tap++) {
            int line = y + tap < 0 ? 0 : least(y + tap, height - 1);
            const float *restrict row = from + (size_t)line * n;
            for (int i = 0; i < n; i++)
                sums[i] += row[i];
        }
        float *restrict row = to + (size_t)y * n;
        sums_across(row, sums, width, channels, radius, sums + n);
        for (int i = 0; i < n; i++)
            row[i] *= scale;
    }
    free(sums);
    return 1;
}

#endif
