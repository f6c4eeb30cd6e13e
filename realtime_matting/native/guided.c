/* The fast guided filter (He & Sun 2015, arXiv 1505.00996) with a guide of two planes: Y, luminance, and C, half of
   red − blue around 128. */

#include "enlarge.h"

/* Y and C of a pixel; weights: of red, green, blue and 1, for Y, then for C. */
static inline void levels(const uint8_t *restrict rgb, const float *restrict weights, float *y, float *c)
{
    float red = rgb[0], green = rgb[1], blue = rgb[2];
    *y = weights[0] * red + weights[1] * green + weights[2] * blue + weights[3];
    *c = weights[4] * red + weights[5] * green + weights[6] * blue + weights[7];
}

/* Columns whose coefficients are found together, or not at all where none of them is asked for. Loops over a strip are of
   this size, of which compilers make the most; rows of planes are as long as their strips. */
#define STRIP 16

/* Flags of strips: to is set within `rows` rows and one strip of where from is. All (height, strips). */
static void spread(uint8_t *restrict to, const uint8_t *restrict from, uint8_t *restrict scratch, int height, int strips,
                   int rows)
{
    for (int y = 0; y < height; y++)
        for (int s = 0; s < strips; s++) {
            const uint8_t *at = from + (size_t)y * strips + s;
            scratch[(size_t)y * strips + s] = at[0] | (s > 0 ? at[-1] : 0) | (s + 1 < strips ? at[1] : 0);
        }
    memset(to, 0, (size_t)height * strips);
    for (int y = 0; y < height; y++)
        for (int line = y < rows ? 0 : y - rows; line <= least(y + rows, height - 1); line++)
            for (int s = 0; s < strips; s++)
                to[(size_t)y * strips + s] |= scratch[(size_t)line * strips + s];
}

/* Means over windows, row by row, in the strips of a row that are flagged. */
typedef struct {
    const float *planes;  /* (count, height, strips·STRIP) */
    const uint8_t *flags; /* (height, strips) */
    int count, height, width, strips, radius;
    float *sums; /* (count, strips·STRIP + 2·radius): of columns of windows */
} Windows;

/* Adds up the columns of the windows of row y. 0: no strip of it is flagged. */
static int open_row(Windows *restrict w, int y)
{
    const uint8_t *flags = w->flags + (size_t)y * w->strips;
    int any = 0, length = w->strips * STRIP;
    for (int s = 0; s < w->strips; s++)
        any |= flags[s];
    if (!any)
        return 0;
    for (int plane = 0; plane < w->count; plane++) {
        float *restrict sums = w->sums + (size_t)plane * (length + 2 * w->radius) + w->radius;
        const float *from = w->planes + (size_t)plane * w->height * length;
        for (int s = 0; s < w->strips; s++) {
            if (!(flags[s] | (s > 0 ? flags[s - 1] : 0) | (s + 1 < w->strips ? flags[s + 1] : 0)))
                continue;
            float total[STRIP] = {0};
            for (int tap = -w->radius; tap <= w->radius; tap++) {
                int line = y + tap < 0 ? 0 : least(y + tap, w->height - 1);
                const float *restrict row = from + (size_t)line * length + s * STRIP;
                for (int i = 0; i < STRIP; i++)
                    total[i] += row[i];
            }
            memcpy(sums + s * STRIP, total, sizeof(total));
        }
        /* The picture's border goes on outside it; where no strip there is flagged, nobody looks. */
        for (int i = 1; i <= w->radius; i++) {
            sums[-i] = sums[0];
            sums[w->width - 1 + i] = sums[w->width - 1];
        }
    }
    return 1;
}

/* Means of a plane in a strip of the row that was opened. */
static inline void means_of_strip(float to[restrict STRIP], const Windows *w, int plane, int strip)
{
    float scale = 1.0f / ((2 * w->radius + 1) * (2 * w->radius + 1));
    const float *sums = w->sums + (size_t)plane * (w->strips * STRIP + 2 * w->radius) + strip * STRIP;
    float total[STRIP] = {0};
    for (int tap = 0; tap <= 2 * w->radius; tap++)
        for (int i = 0; i < STRIP; i++)
            total[i] += sums[tap + i];
    for (int i = 0; i < STRIP; i++)
        to[i] = total[i] * scale;
}

enum { L, D, A, LL, LD, LA, DD, DA, LEVELS }; /* planes: Y, C and alpha, and what is multiplied of them */

/* The planes of a strip; guide: its first pixel's red, green and blue, each `apart` bytes from the other. */
static inline void levels_of_strip(float to[restrict LEVELS][STRIP], const uint8_t *guide, size_t apart,
                                   const float *alpha, int size, const float weights[restrict 8])
{
    uint8_t rgb[3][STRIP] = {{0}};
    float known[STRIP] = {0};
    for (int channel = 0; channel < 3; channel++)
        memcpy(rgb[channel], guide + channel * apart, size);
    memcpy(known, alpha, sizeof(float) * size);
    for (int i = 0; i < STRIP; i++) {
        float red = rgb[0][i], green = rgb[1][i], blue = rgb[2][i], a = known[i];
        float l = weights[0] * red + weights[1] * green + weights[2] * blue + weights[3];
        float d = weights[4] * red + weights[5] * green + weights[6] * blue + weights[7];
        to[L][i] = l;
        to[D][i] = d;
        to[A][i] = a;
        to[LL][i] = l * l;
        to[LD][i] = l * d;
        to[LA][i] = l * a;
        to[DD][i] = d * d;
        to[DA][i] = d * a;
    }
}

/* What Y and C are multiplied by and the offset, of windows with these means. */
static inline void slopes_of_strip(float to[restrict 3][STRIP], float m[restrict LEVELS][STRIP], float smoothness)
{
    for (int i = 0; i < STRIP; i++) {
        float l = m[L][i], d = m[D][i], a = m[A][i];
        float ll = m[LL][i] - l * l + smoothness, ld = m[LD][i] - l * d;
        float la = m[LA][i] - l * a, da = m[DA][i] - d * a;
        float dd = m[DD][i] - d * d + smoothness / 4; /* of half the difference */
        float ratio = ld / ll;
        float slope_d = (da - ratio * la) / (dd - ratio * ld);
        float slope_l = (la - ld * slope_d) / ll;
        to[0][i] = slope_l;
        to[1][i] = slope_d;
        to[2][i] = a - slope_l * l - slope_d * d;
    }
}

/* out (3, height, width): what Y and C are multiplied by and the offset, means over the windows of each pixel of strips in
   which unknown (height, width) is not 0 somewhere; the others are left as they are. guide: uint8 (3, height, width). Each
   window solves (Σ + εE)·a = cov(I, α), b = mean(α) − a·mean(I) (He et al. 2013, TPAMI, section 3.4). 0: no memory. */
EXPORTED int KERNEL(coefficients)(float *restrict out, const uint8_t *restrict guide, const float *restrict alpha,
                                  const uint8_t *restrict unknown, int height, int width, const float *restrict weights,
                                  int radius, float smoothness)
{
    int strips = (width + STRIP - 1) / STRIP, length = strips * STRIP;
    size_t n = (size_t)height * width, plane = (size_t)height * length, flags = (size_t)height * strips;
    float *planes = malloc(sizeof(float) * (plane * (LEVELS + 3) + (size_t)LEVELS * (length + 2 * radius)));
    uint8_t *wanted = malloc(flags * 4);
    if (!planes || !wanted) {
        free(planes);
        free(wanted);
        return 0;
    }
    float *slopes = planes + LEVELS * plane, *sums = slopes + 3 * plane;
    uint8_t *with_slopes = wanted + flags, *with_levels = wanted + 2 * flags, *scratch = wanted + 3 * flags;
    for (int y = 0; y < height; y++)
        for (int s = 0; s < strips; s++) {
            uint8_t any = 0;
            for (int x = s * STRIP; x < least((s + 1) * STRIP, width); x++)
                any |= unknown[(size_t)y * width + x];
            wanted[(size_t)y * strips + s] = any;
        }
    spread(with_slopes, wanted, scratch, height, strips, radius);
    spread(with_levels, with_slopes, scratch, height, strips, radius);

    for (int y = 0; y < height; y++)
        for (int s = 0; s < strips; s++) {
            if (!with_levels[(size_t)y * strips + s])
                continue;
            size_t from = (size_t)y * width + s * STRIP, to = (size_t)y * length + s * STRIP;
            float made[LEVELS][STRIP];
            levels_of_strip(made, guide + from, n, alpha + from, least(STRIP, width - s * STRIP), weights);
            for (int k = 0; k < LEVELS; k++)
                memcpy(planes + k * plane + to, made[k], sizeof(made[k]));
        }
    Windows all = {planes, with_slopes, LEVELS, height, width, strips, radius, sums};
    for (int y = 0; y < height; y++) {
        if (!open_row(&all, y))
            continue;
        for (int s = 0; s < strips; s++) {
            if (!with_slopes[(size_t)y * strips + s])
                continue;
            float means[LEVELS][STRIP], made[3][STRIP];
            for (int k = 0; k < LEVELS; k++)
                means_of_strip(means[k], &all, k, s);
            slopes_of_strip(made, means, smoothness);
            for (int k = 0; k < 3; k++)
                memcpy(slopes + k * plane + (size_t)y * length + s * STRIP, made[k], sizeof(made[k]));
        }
    }
    Windows found = {slopes, wanted, 3, height, width, strips, radius, sums};
    for (int y = 0; y < height; y++) {
        if (!open_row(&found, y))
            continue;
        for (int s = 0; s < strips; s++) {
            if (!wanted[(size_t)y * strips + s])
                continue;
            for (int k = 0; k < 3; k++) {
                float mean[STRIP];
                means_of_strip(mean, &found, k, s);
                memcpy(out + k * n + (size_t)y * width + s * STRIP, mean,
                       sizeof(float) * least(STRIP, width - s * STRIP));
            }
        }
    }
    free(planes);
    free(wanted);
    return 1;
}

/* Of each row of the halved picture, (rows, blocks of the picture's width): whether anything that the pixels of a block are
   made of is unknown. Small pixels that lie in no unknown half, with their neighbours, are all 0, or all 1. */
static void unknown_blocks(uint8_t *restrict to, const uint8_t *restrict unknown, int rows, int columns, int small_width,
                           int width)
{
    for (int from = 0; from < width; from += BLOCK) {
        int last = least(from + BLOCK, width) - 1;
        int first = least(place(from, small_width, width).first / 2, place(from, columns, width).first);
        int second = most(place(last, small_width, width).second / 2, place(last, columns, width).second);
        for (int y = 0; y < rows; y++) {
            uint8_t any = 0;
            for (int x = first; x <= second; x++)
                any |= unknown[(size_t)y * columns + x];
            to[(size_t)y * blocks_of(width) + from / BLOCK] = any;
        }
    }
}

/* a_Y·Y + a_C·C + b where alpha is between 0 and 1, kept between 0 and the ceiling, and what is closer than the margin to
   0 and 1 made 0 and 1 by stretching the rest: n pixels, from column `from` on. */
FOR_ANY_SIZE void filter_pixels(float *restrict alpha, const uint8_t *restrict rgb, Between b, Between top, int from,
                                int width, const float *restrict weights, float margin, int n)
{
    const float stretch = 1 / (1 - 2 * margin);
    const float *restrict above = b.above + from, *restrict below = b.below + from;
    for (int i = 0; i < n; i++) {
        float luminance, difference, old = alpha[i];
        levels(rgb + 3 * i, weights, &luminance, &difference);
        float a_y = between(above, below, b.share, i);
        float a_c = between(above + width, below + width, b.share, i);
        float rest = between(above + 2 * (size_t)width, below + 2 * (size_t)width, b.share, i);
        /* Weights of neighbours, rounded, may add up to a little more than 1. */
        float limit = within(between(top.above + from, top.below + from, top.share, i), 0, 1);
        float filtered = within(a_y * luminance + a_c * difference + rest, 0, limit);
        filtered = within((filtered - margin) * stretch, 0, 1);
        alpha[i] = ((old > 0) & (old < 1)) ? filtered : old;
    }
}

static inline void filter_block(float *restrict alpha, const uint8_t *restrict rgb, Between b, Between top, int from,
                                int width, const float *restrict weights, float margin, int n)
{
    if (!any_soft(alpha, n))
        return;
    if (n == BLOCK)
        filter_pixels(alpha, rgb, b, top, from, width, weights, margin, BLOCK);
    else
        filter_pixels(alpha, rgb, b, top, from, width, weights, margin, n);
}

/* The small alpha as large as the picture, (height, width); where it is between 0 and 1 there, a_Y·Y + a_C·C + b instead,
   kept between 0 and the ceiling, which is of the small alpha's size, and stretched by the margin. unknown: the small
   alpha's unknown_halves, or more. 0: no memory. */
EXPORTED int KERNEL(filter_soft)(float *restrict alpha, const uint8_t *picture, int height, int width,
                                 const float *coefficients, int halved_height, int halved_width, const uint8_t *unknown,
                                 const float *small, const float *ceiling, int small_height, int small_width,
                                 const float *weights, float margin)
{
    Enlarged e = {0}, highest = {0}, own = {0};
    int blocks = blocks_of(width);
    /* Which blocks need more than a copy, in each row of the halved picture, and in a row of the picture. */
    uint8_t *wanted = malloc((size_t)halved_height * blocks), *any = malloc(blocks);
    int *columns = malloc(sizeof(int) * blocks); /* of the small alpha, where blocks begin */
    int ok = wanted && any && columns && open_enlarged(&e, coefficients, 3, halved_height, halved_width, height, width) &&
             open_enlarged(&highest, ceiling, 1, small_height, small_width, height, width) &&
             open_enlarged(&own, small, 1, small_height, small_width, height, width);
    if (ok)
        unknown_blocks(wanted, unknown, halved_height, halved_width, small_width, width);
    for (int block = 0; ok && block < blocks; block++)
        columns[block] = place(block * BLOCK, small_width, width).first;
    for (int y = 0; ok && y < height; y++) {
        float *restrict row = alpha + (size_t)y * width;
        const uint8_t *restrict rgb = picture + (size_t)y * width * 3;
        Place at = row_of(&own, y), halved = row_of(&e, y);
        int first = least(at.first / 2, halved.first), second = most(at.second / 2, halved.second);
        memcpy(any, wanted + (size_t)first * blocks, blocks);
        for (int line = first + 1; line <= second; line++)
            for (int block = 0; block < blocks; block++)
                any[block] |= wanted[(size_t)line * blocks + block];
        for (int block = 0, beyond; block < blocks; block = beyond) {
            int from = block * BLOCK;
            for (beyond = block + 1; beyond < blocks && !any[beyond] == !any[block];)
                beyond++;
            int end = least(beyond * BLOCK, width);
            if (!any[block]) {
                float known = small[(size_t)at.first * small_width + columns[block]];
                for (; from < end; from++)
                    row[from] = known;
                continue;
            }
            Between here = enlarged_part(&own, at, from, end), b = enlarged_part(&e, halved, from, end);
            Between top = enlarged_part(&highest, at, from, end);
            /* Between two equal numbers lies nothing else, so that what is 0 or 1 all around stays so. */
            for (int x = from; x < end; x++)
                row[x] = between(here.above, here.below, here.share, x);
            for (; from < end; from += BLOCK)
                filter_block(row + from, rgb + 3 * from, b, top, from, width, weights, margin,
                             block_size(from, width));
        }
    }
    close_enlarged(&e);
    close_enlarged(&highest);
    close_enlarged(&own);
    free(wanted);
    free(any);
    free(columns);
    return ok;
}

/* Which pixels of a halved picture, (⌈height/2⌉, ⌈width/2⌉), need coefficients, 255 there and 0 elsewhere: those in which
   alpha or one of its 8 neighbours is between 0 and 1, or 0 meets 1, and one pixel further. 0: no memory. */
EXPORTED int KERNEL(unknown_halves)(uint8_t *restrict out, const float *restrict alpha, int height, int width)
{
    int rows = (height + 1) / 2, columns = (width + 1) / 2;
    size_t stride = 2 * (size_t)columns + 2; /* a pixel more on either side */
    /* seen: of each pixel, whether it is above 0 (bit 0) and below 1 (bit 1), with a row of nothing above and below;
       column: the same of two rows and their neighbours together; halves: which halves are unknown, before the one pixel
       further, and a border of none. */
    uint8_t *seen = calloc(2 * (size_t)rows + 2, stride), *halves = calloc((size_t)rows + 2, (size_t)columns + 2);
    uint8_t *column = malloc(stride);
    int ok = seen && halves && column;
    for (int y = 0; ok && y < height; y++) {
        uint8_t *restrict to = seen + (size_t)(y + 1) * stride + 1;
        const float *restrict row = alpha + (size_t)y * width;
        for (int x = 0; x < width; x++)
            to[x] = (uint8_t)((row[x] > 0) | (row[x] < 1) << 1);
    }
    for (int y = 0; ok && y < rows; y++) {
        /* Where both bits are set, something is soft or 0 meets 1. */
        const uint8_t *restrict from = seen + 2 * (size_t)y * stride;
        uint8_t *restrict to = halves + (size_t)(y + 1) * (columns + 2) + 1;
        for (size_t x = 0; x < stride; x++)
            column[x] = from[x] | from[x + stride] | from[x + 2 * stride] | from[x + 3 * stride];
        for (int x = 0; x < columns; x++)
            to[x] = (column[2 * x] | column[2 * x + 1] | column[2 * x + 2] | column[2 * x + 3]) == 3;
    }
    for (int y = 0; ok && y < rows; y++) {
        const uint8_t *restrict from = halves + (size_t)y * (columns + 2);
        uint8_t *restrict to = out + (size_t)y * columns;
        size_t next = columns + 2;
        for (int x = 0; x < columns; x++) {
            uint8_t any = 0;
            for (int i = 0; i < 3; i++)
                any |= from[x + i] | from[x + i + next] | from[x + i + 2 * next];
            to[x] = any ? 255 : 0;
        }
    }
    free(seen);
    free(halves);
    free(column);
    return ok;
}
