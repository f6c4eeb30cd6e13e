/* What the kernels share. Pictures are uint8 (H, W, 3), alphas float32 (H, W) in [0, 1], small planes float32; all
   contiguous. A row of the frame is worked on in blocks of BLOCK pixels, and blocks with nothing to do are left out.

   Every file but dispatch.c is compiled once for each level of the processor's instructions; the level is part of the
   names of what it exports. */

#ifndef KERNELS_H
#define KERNELS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#define JOIN(name, level) name##_##level
#define NAMED(name, level) JOIN(name, level)
#define KERNEL(name) NAMED(name, LEVEL)

#define BLOCK 16

static inline int least(int a, int b)
{
    return a < b ? a : b;
}

static inline float within(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* Pixels of the block that begins at a column. */
static inline int block_size(int from, int width)
{
    return least(BLOCK, width - from);
}

/* Whether a block has a soft pixel. Compilers make more of a size that they know. */
static inline int any_soft(const float *restrict alpha, int n)
{
    int soft = 0;
    if (n == BLOCK)
        for (int i = 0; i < BLOCK; i++)
            soft |= (alpha[i] > 0) & (alpha[i] < 1);
    else
        for (int i = 0; i < n; i++)
            soft |= (alpha[i] > 0) & (alpha[i] < 1);
    return soft;
}

#endif
