/* Linear interpolation of small planes, row by row. */

#ifndef ENLARGE_H
#define ENLARGE_H

#include "kernels.h"

/* Where along one side a pixel of the large picture lies in the small one: between which two, and how near the second.
   Pixels are squares, and outside the small picture its border goes on, as in OpenCV's linear interpolation. */
static inline void place(int at, int small, int full, int *first, int *second, float *share)
{
    float x = within((float)((at + 0.5) * small / full - 0.5), 0, (float)(small - 1));
    *first = (int)x;
    *second = least(*first + 1, small - 1);
    *share = x - *first;
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

/* Where a pixel of a row lies: between which two of the small row's, and how near the second. */
typedef struct {
    int first, second;
    float share;
} Place;

/* places: of the row's pixels, where the widths are not as `is_even_stretch` wants them. */
static void across(float *restrict to, const float *restrict from, int n, int width, const Place *restrict places)
{
    if (width == n)
        memcpy(to, from, sizeof(float) * n);
    else if (width == 2 * n)
        stretch(to, from, n, 2);
    else if (width == 3 * n)
        stretch(to, from, n, 3);
    else if (width == 4 * n)
        stretch(to, from, n, 4);
    else if (width == 6 * n)
        stretch(to, from, n, 6);
    else if (width == 8 * n)
        stretch(to, from, n, 8);
    else
        for (int x = 0; x < width; x++)
            to[x] = from[places[x].first] + places[x].share * (from[places[x].second] - from[places[x].first]);
}

/* Planes (count, height, width), of which the two rows asked for last are held as wide as the frame. */
typedef struct {
    const float *planes;
    int count, height, width, full_height, full_width;
    float *rows; /* (2, count, full_width) */
    Place *places; /* of a row's pixels, where they are needed */
    int held[2]; /* which */
} Enlarged;

static int open_enlarged(Enlarged *e, const float *planes, int count, int height, int width, int full_height,
                         int full_width)
{
    *e = (Enlarged){planes, count, height, width, full_height, full_width, 0, 0, {-1, -1}};
    /* And room for a whole block beyond the last pixel. */
    e->rows = malloc(sizeof(float) * (2 * (size_t)count * full_width + BLOCK));
    if (is_even_stretch(width, full_width))
        return e->rows != 0;
    e->places = malloc(sizeof(Place) * full_width);
    for (int x = 0; e->places && x < full_width; x++)
        place(x, width, full_width, &e->places[x].first, &e->places[x].second, &e->places[x].share);
    return e->rows != 0 && e->places != 0;
}

static void close_enlarged(Enlarged *e)
{
    free(e->rows);
    free(e->places);
}

static const float *enlarged_across(Enlarged *e, int y)
{
    int slot = y & 1; /* neighbours never share one */
    float *rows = e->rows + (size_t)slot * e->count * e->full_width;
    if (e->held[slot] != y)
        for (int plane = 0; plane < e->count; plane++)
            across(rows + (size_t)plane * e->full_width, e->planes + ((size_t)plane * e->height + y) * e->width,
                   e->width, e->full_width, e->places);
    e->held[slot] = y;
    return rows;
}

/* A row of the frame lies between two of the small planes: those, full_width apart from plane to plane. */
typedef struct {
    const float *above, *below;
    float share; /* how near the one below is */
} Between;

static Between enlarged_row(Enlarged *e, int y)
{
    int first, second;
    Between b;
    place(y, e->height, e->full_height, &first, &second, &b.share);
    b.above = enlarged_across(e, first);
    b.below = enlarged_across(e, second);
    return b;
}

static inline float between(const float *restrict above, const float *restrict below, float share, int i)
{
    return above[i] + share * (below[i] - above[i]);
}

#endif
