/* Linear interpolation of small planes, row by row. */

#ifndef ENLARGE_H
#define ENLARGE_H

#include "kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* Where along one side a pixel of the large picture lies in the small one: between which two, and how near the second. */
typedef struct {
    int first, second;
    float share;
} Place;

/* Pixels are squares, and outside the small picture its border goes on, as in OpenCV's linear interpolation. */
static inline Place place(int at, int small, int full)
{
    float x = within((float)((at + 0.5) * small / full - 0.5), 0, (float)(small - 1));
    int first = (int)x;
    Place p = {first, least(first + 1, small - 1), x - first};
    return p;
}

/* n numbers to n·ratio, which the compiler is told: then it needs no gathers, which are slow on many processors. */
static inline void stretch(float *restrict to, const float *restrict from, int n, int ratio)
{
    int before = ratio / 2;
    float start = ratio % 2 ? 0 : 0.5f;
    for (int i = 0; i < before; i++)
        to[i] = from[0];
    for (int x = 0; x + 1 < n; x++)
        for (int i = 0; i < ratio; i++)
            to[before + x * ratio + i] = from[x] + (i + start) / ratio * (from[x + 1] - from[x]);
    for (int i = before + (n - 1) * ratio; i < n * ratio; i++)
        to[i] = from[n - 1];
}

/* Whether `across` does without being told where each pixel lies. */
static inline int is_even_stretch(int n, int width)
{
    return width == n || width == 2 * n || width == 3 * n || width == 4 * n || width == 6 * n || width == 8 * n;
}

static void across(float *restrict to, const float *restrict from, int n, int width)
{
    if (width == n)
        memcpy(to, from, sizeof(float) * n);
    else
        switch (width / n) {
        case 2: stretch(to, from, n, 2); break;
        case 3: stretch(to, from, n, 3); break;
        case 4: stretch(to, from, n, 4); break;
        case 6: stretch(to, from, n, 6); break;
        default: stretch(to, from, n, 8);
        }
}

/* Pixels of a row that lies unevenly: between small pixels first[i] and the next, and share[i] of the way; both rise by less
   than 1 from pixel to pixel. Beyond the last small pixel there is none, and the share is 0. */
static inline void at_places(float *restrict to, const float *restrict from, int n, const int *restrict first,
                             const float *restrict share, int pixels)
{
    int i = 0;
#if defined(__AVX2__)
    /* Eight lie between nine small ones: two registers. Compilers put them together one by one, which takes longer. */
    for (; i + 8 <= pixels && first[i] + 9 <= n; i += 8) {
        __m256i at = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(first + i)), _mm256_set1_epi32(first[i]));
        __m256 here = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from + first[i]), at);
        __m256 next = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from + first[i] + 1), at);
        _mm256_storeu_ps(to + i, _mm256_fmadd_ps(_mm256_loadu_ps(share + i), _mm256_sub_ps(next, here), here));
    }
#endif
    for (; i < pixels; i++) {
        float here = from[first[i]], next = from[least(first[i] + 1, n - 1)];
        to[i] = here + share[i] * (next - here);
    }
}

/* Planes (count, height, width), of which the two rows asked for last are held as wide as the frame. Where pixels lie
   unevenly, a row is made block by block, as these are asked for. */
typedef struct {
    const float *planes;
    int count, height, width, full_height, full_width;
    float *rows; /* (2, count, full_width) */
    /* Where a row's pixels lie unevenly, as `at_places` wants it, and (2, blocks of a row) which blocks there are. */
    int *first;
    float *share;
    uint8_t *made;
    int held[2]; /* which */
} Enlarged;

static int open_enlarged(Enlarged *e, const float *planes, int count, int height, int width, int full_height,
                         int full_width)
{
    *e = (Enlarged){planes, count, height, width, full_height, full_width, 0, 0, 0, 0, {-1, -1}};
    /* And room for a whole block beyond the last pixel. */
    e->rows = malloc(sizeof(float) * (2 * (size_t)count * full_width + BLOCK));
    if (is_even_stretch(width, full_width))
        return e->rows != 0;
    e->first = malloc(sizeof(int) * full_width);
    e->share = malloc(sizeof(float) * full_width);
    e->made = malloc(2 * (size_t)blocks_of(full_width));
    if (!e->rows || !e->first || !e->share || !e->made)
        return 0;
    for (int x = 0; x < full_width; x++) {
        Place at = place(x, width, full_width);
        e->first[x] = at.first;
        e->share[x] = at.share;
    }
    return 1;
}

static void close_enlarged(Enlarged *e)
{
    free(e->rows);
    free(e->first);
    free(e->share);
    free(e->made);
}

/* A small row as wide as the frame, at least its columns from `from`, the first of a block, to before `beyond`. */
static inline const float *enlarged_across(Enlarged *e, int y, int from, int beyond)
{
    int slot = y & 1; /* neighbours never share one */
    size_t apart = (size_t)e->height * e->width;
    float *rows = e->rows + (size_t)slot * e->count * e->full_width;
    const float *small = e->planes + (size_t)y * e->width;
    if (e->held[slot] != y) {
        e->held[slot] = y;
        if (e->made)
            memset(e->made + slot * blocks_of(e->full_width), 0, blocks_of(e->full_width));
        else
            for (int plane = 0; plane < e->count; plane++)
                across(rows + (size_t)plane * e->full_width, small + plane * apart, e->width, e->full_width);
    }
    if (!e->made)
        return rows;
    uint8_t *made = e->made + slot * blocks_of(e->full_width);
    for (; from < beyond; from += BLOCK) {
        if (made[from / BLOCK])
            continue;
        made[from / BLOCK] = 1;
        for (int plane = 0; plane < e->count; plane++)
            at_places(rows + (size_t)plane * e->full_width + from, small + plane * apart, e->width, e->first + from,
                      e->share + from, block_size(from, e->full_width));
    }
    return rows;
}

/* A row of the frame lies between two of the small planes: those, full_width apart from plane to plane. */
typedef struct {
    const float *above, *below;
    float share; /* how near the one below is */
} Between;

/* Where the rows of a row of the frame lie, and these, with the columns from `from` to before `beyond`. */
static inline Between enlarged_part(Enlarged *e, Place row, int from, int beyond)
{
    Between b = {enlarged_across(e, row.first, from, beyond), enlarged_across(e, row.second, from, beyond), row.share};
    return b;
}

static inline Place row_of(const Enlarged *e, int y)
{
    return place(y, e->height, e->full_height);
}

static inline Between enlarged_row(Enlarged *e, int y)
{
    return enlarged_part(e, row_of(e, y), 0, e->full_width);
}

static inline float between(const float *restrict above, const float *restrict below, float share, int i)
{
    return above[i] + share * (below[i] - above[i]);
}

#endif
