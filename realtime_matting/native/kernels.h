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

static inline int most(int a, int b)
{
    return a > b ? a : b;
}

static inline float within(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

static inline int blocks_of(int width)
{
    return (width + BLOCK - 1) / BLOCK;
}

/* Pixels of the block that begins at a column. */
static inline int block_size(int from, int width)
{
    return least(BLOCK, width - from);
}

/* What is called with n = BLOCK in most places, and compiled for that by itself: compilers make more of a size they know. */
#define FOR_ANY_SIZE static inline __attribute__((always_inline))

/* What there is in the n pixels of a block. */
enum { ABOVE_ZERO = 1, BELOW_ONE = 2, SOFT = 4 };

FOR_ANY_SIZE int kinds_of_pixels(const float *restrict alpha, int n)
{
    int kinds = 0;
    for (int i = 0; i < n; i++) {
        int above = alpha[i] > 0, below = alpha[i] < 1;
        kinds |= above * ABOVE_ZERO | below * BELOW_ONE | (above & below) * SOFT;
    }
    return kinds;
}

static inline int kinds_in(const float *restrict alpha, int n)
{
    return n == BLOCK ? kinds_of_pixels(alpha, BLOCK) : kinds_of_pixels(alpha, n);
}

/* The same as kinds_in(alpha, n) & SOFT, faster. */
FOR_ANY_SIZE int any_soft_pixel(const float *restrict alpha, int n)
{
    int soft = 0;
    for (int i = 0; i < n; i++)
        soft |= (alpha[i] > 0) & (alpha[i] < 1);
    return soft;
}

static inline int any_soft(const float *restrict alpha, int n)
{
    return n == BLOCK ? any_soft_pixel(alpha, BLOCK) : any_soft_pixel(alpha, n);
}

#endif
