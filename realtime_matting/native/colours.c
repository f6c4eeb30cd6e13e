/* The person's own colours: blur fusion (Forte 2021) as in realtime_matting/matting/foreground.py, which says why. */

#include "box.h"
#include "enlarge.h"
#include "over.h"

/* Weighted sums that are made of a picture, a plane each: three colours and the weight of the foreground, the same of
   the background, three colours of the picture. */
enum { FOREGROUND = 0, BACKGROUND = 4, PICTURE = 8, SUMS = 11 };

/* The weighted means of foreground and background, which tend to the mean of the picture where there is little weight:
   six planes, `means_apart`, of eleven, `sums_apart`, for n pixels each; `pixels`: in a window. */
static void divide(float *restrict means, size_t means_apart, const float *restrict sums, size_t sums_apart, int n,
                   float faint, float pixels)
{
    for (int kind = 0; kind < 2; kind++) {
        const float *restrict own = sums + 4 * kind * sums_apart, *restrict weight = own + 3 * sums_apart;
        for (int colour = 0; colour < 3; colour++) {
            const float *restrict all = sums + (PICTURE + colour) * sums_apart;
            float *restrict to = means + (3 * kind + colour) * means_apart;
            for (int x = 0; x < n; x++)
                to[x] = (own[colour * sums_apart + x] + faint * all[x]) / (weight[x] + faint * pixels);
        }
    }
}

/* A row's colours as planes, (3, width). */
static void planes_of_row(float *restrict planes, const uint8_t *restrict rgb, int width)
{
    float *restrict red = planes, *restrict green = planes + width, *restrict blue = planes + 2 * (size_t)width;
    for (int x = 0; x < width; x++) {
        red[x] = rgb[3 * x];
        green[x] = rgb[3 * x + 1];
        blue[x] = rgb[3 * x + 2];
    }
}

/* What a row adds to the sums of two, (SUMS, stride); scratch: (5, width). */
static void add_row(float *restrict sums, size_t stride, const uint8_t *rgb, const float *restrict alpha, int width,
                    float *restrict scratch)
{
    float *restrict front = scratch + 3 * (size_t)width, *restrict behind = front + width;
    planes_of_row(scratch, rgb, width);
    for (int x = 0; x < width; x++) {
        float a = alpha[x], o = 1 - a;
        front[x] = a * a * a * a;
        behind[x] = o * o * o * o;
        sums[(FOREGROUND + 3) * stride + x] += front[x];
        sums[(BACKGROUND + 3) * stride + x] += behind[x];
    }
    for (int colour = 0; colour < 3; colour++) {
        const float *restrict level = scratch + colour * (size_t)width;
        for (int x = 0; x < width; x++) {
            sums[(FOREGROUND + colour) * stride + x] += front[x] * level[x];
            sums[(BACKGROUND + colour) * stride + x] += behind[x] * level[x];
            sums[(PICTURE + colour) * stride + x] += level[x];
        }
    }
}

/* The first pass, in a picture of half the size: near (2 · 3, ⌈height/2⌉, ⌈width/2⌉). 0: no memory. */
static int wide_means(float *near, const uint8_t *picture, const float *alpha, int height, int width, int radius,
                      float faint)
{
    int rows = (height + 1) / 2, columns = (width + 1) / 2;
    size_t n = (size_t)rows * columns, stride = 2 * (size_t)columns;
    float *sums = malloc(sizeof(float) * (n * SUMS * 2 + stride * SUMS + 5 * (size_t)width));
    if (!sums)
        return 0;
    float *means = sums + n * SUMS, *two = means + n * SUMS, *scratch = two + stride * SUMS;
    for (int y = 0; y < rows; y++) {
        memset(two, 0, sizeof(float) * stride * SUMS);
        for (int side = 0; side < 2; side++) {
            size_t line = (size_t)least(2 * y + side, height - 1) * width;
            add_row(two, stride, picture + 3 * line, alpha + line, width, scratch);
        }
        for (int plane = 0; plane < SUMS; plane++) {
            float *restrict from = two + plane * stride, *restrict to = sums + plane * n + (size_t)y * columns;
            if (width % 2)
                from[width] = from[width - 1];
            for (int x = 0; x < columns; x++)
                to[x] = from[2 * x] + from[2 * x + 1];
        }
    }
    int ok = 1;
    for (int plane = 0; plane < SUMS; plane++)
        ok &= box_means(means + plane * n, sums + plane * n, rows, columns, radius);
    if (ok)
        divide(near, n, means, n, (int)n, faint, 4);
    free(sums);
    return ok;
}

/* near (2 · 3, height, width): F_b and B_b of the second pass. 0: no memory. */
EXPORTED int KERNEL(near_colours)(float *near, const uint8_t *picture, const float *alpha, int height, int width,
                                  int wide, int narrow, float faint)
{
    int rows = (height + 1) / 2, columns = (width + 1) / 2, line = width * SUMS, window = 2 * narrow + 1;
    size_t n = (size_t)height * width;
    float *coarse = malloc(sizeof(float) * rows * columns * 6);
    /* Sums across, of the rows of a window; what the coming row adds; the sums of the window; a row's colours; scratch. */
    float *ring = malloc(sizeof(float) * ((size_t)line * (window + 2) + 4 * (size_t)width + 2 * (size_t)narrow));
    float *coming = ring + (size_t)line * window, *sums = coming + line, *levels = sums + line, *scratch = levels + 3 * (size_t)width;
    Enlarged e = {0};
    int ok = coarse && ring && wide_means(coarse, picture, alpha, height, width, wide, faint) &&
             open_enlarged(&e, coarse, 6, rows, columns, height, width);
    for (int y = -narrow; ok && y < height; y++) {
        int next = y + narrow;
        if (next < height) {
            const float *restrict shares = alpha + (size_t)next * width;
            Between b = enlarged_row(&e, next);
            planes_of_row(levels, picture + (size_t)next * width * 3, width);
            for (int colour = 0; colour < 3; colour++) {
                const float *restrict above = b.above + colour * (size_t)width;
                const float *restrict below = b.below + colour * (size_t)width;
                const float *restrict above_b = above + 3 * (size_t)width, *restrict below_b = below + 3 * (size_t)width;
                float *restrict front = coming + (size_t)(FOREGROUND + colour) * width;
                float *restrict behind = coming + (size_t)(BACKGROUND + colour) * width;
                const float *restrict own = levels + colour * (size_t)width;
                for (int x = 0; x < width; x++) {
                    float a = shares[x], o = 1 - a;
                    float f = between(above, below, b.share, x);
                    float g = between(above_b, below_b, b.share, x);
                    float rest = own[x] - a * f - o * g;
                    front[x] = a * a * within(f + a * rest, 0, 255);
                    behind[x] = o * o * within(g + o * rest, 0, 255);
                }
            }
            memcpy(coming + (size_t)PICTURE * width, levels, sizeof(float) * 3 * width);
            float *restrict front = coming + (size_t)(FOREGROUND + 3) * width;
            float *restrict behind = coming + (size_t)(BACKGROUND + 3) * width;
            for (int x = 0; x < width; x++) {
                front[x] = shares[x] * shares[x];
                behind[x] = (1 - shares[x]) * (1 - shares[x]);
            }
            float *across = ring + (size_t)(next % window) * line;
            for (int plane = 0; plane < SUMS; plane++)
                sums_across(across + (size_t)plane * width, coming + (size_t)plane * width, width, narrow, scratch);
        }
        if (y < 0)
            continue;
        memset(sums, 0, sizeof(float) * line);
        for (int tap = y - narrow; tap <= y + narrow; tap++) {
            const float *restrict row = ring + (size_t)((tap < 0 ? 0 : least(tap, height - 1)) % window) * line;
            for (int i = 0; i < line; i++)
                sums[i] += row[i];
        }
        divide(near + (size_t)y * width, n, sums, width, width, faint, (float)(window * window));
    }
    close_enlarged(&e);
    free(coarse);
    free(ring);
    return ok;
}

/* One colour of a block: F, rounded. Planes of `above` and `below` lie `width` apart, those of F_b and B_b three times. */
static void fuse_plane(int *restrict fused, const float *restrict own, const float *restrict shares,
                       const float *restrict above, const float *restrict below, float share, size_t width)
{
    const float *restrict above_b = above + 3 * width, *restrict below_b = below + 3 * width;
    for (int i = 0; i < BLOCK; i++) {
        float foreground = between(above, below, share, i);
        float mixed = foreground + shares[i] * (foreground - between(above_b, below_b, share, i));
        fused[i] = (int)(within(mixed + shares[i] * (own[i] - mixed), 0, 255) + 0.5f);
    }
}

/* F of the n pixels of a block. */
FOR_ANY_SIZE void fuse_pixels(uint8_t made[restrict 3 * BLOCK], const uint8_t *restrict rgb, const float *restrict alpha,
                              Between b, size_t width, int n)
{
    float own[3][BLOCK], shares[BLOCK] = {0};
    uint8_t seen[3 * BLOCK] = {0};
    int fused[3][BLOCK];
    memcpy(seen, rgb, 3 * n);
    memcpy(shares, alpha, sizeof(float) * n);
    for (int i = 0; i < BLOCK; i++)
        for (int colour = 0; colour < 3; colour++)
            own[colour][i] = seen[3 * i + colour];
    for (int colour = 0; colour < 3; colour++)
        fuse_plane(fused[colour], own[colour], shares, b.above + colour * width, b.below + colour * width, b.share,
                   width);
    for (int i = 0; i < BLOCK; i++)
        for (int colour = 0; colour < 3; colour++)
            made[3 * i + colour] = (uint8_t)fused[colour][i];
}

static inline void fuse_block(uint8_t made[restrict 3 * BLOCK], const uint8_t *restrict rgb, const float *restrict alpha,
                              Between b, size_t width, int n)
{
    if (n == BLOCK)
        fuse_pixels(made, rgb, alpha, b, width, BLOCK);
    else
        fuse_pixels(made, rgb, alpha, b, width, n);
}

/* The first and the last row and column of soft pixels, the last ones not included; all 0 where there are none. */
EXPORTED int KERNEL(soft_area)(int *restrict area, const float *restrict alpha, int height, int width)
{
    int top = height, bottom = 0, left = width, right = 0;
    for (int y = 0; y < height; y++)
        for (int from = 0; from < width; from += BLOCK) {
            const float *restrict shares = alpha + (size_t)y * width + from;
            int n = block_size(from, width);
            if (!any_soft(shares, n))
                continue;
            top = least(top, y);
            bottom = y + 1;
            if (from >= left && from + n <= right)
                continue;
            for (int i = 0; i < n; i++)
                if ((shares[i] > 0) & (shares[i] < 1)) {
                    left = least(left, from + i);
                    right = from + i + 1 > right ? from + i + 1 : right;
                }
        }
    area[0] = bottom ? top : 0;
    area[1] = bottom;
    area[2] = bottom ? left : 0;
    area[3] = right;
    return 1;
}

#define NEAR 2
#define LINES (2 * NEAR + 1)

/* out = the picture, but F = αI + (1 − α)(F_b + α(F_b − B_b)) where alpha is soft or so within NEAR pixels; near: F_b and
   B_b, (2 · 3, small height, small width); top to right: in which area all soft pixels lie. 0: no memory. */
EXPORTED int KERNEL(fuse_colours)(uint8_t *out, const uint8_t *picture, const float *alpha, int height, int width,
                                  const float *near, int small_height, int small_width, int top, int bottom, int left,
                                  int right)
{
    Enlarged e = {0};
    int blocks = (width + BLOCK - 1) / BLOCK;
    int first = left / BLOCK > 0 ? left / BLOCK - 1 : 0, beyond = least(blocks, (right + BLOCK - 1) / BLOCK + 1);
    /* Of a row: which pixels are soft, with room for more on either side. Of LINES rows: which have such a one within
       NEAR columns, and whether a block has any, or its neighbours have. */
    size_t stride = (size_t)blocks * BLOCK;
    uint8_t *soft = calloc(1, stride + 2 * NEAR), *close = calloc(LINES, stride);
    uint8_t *some = calloc(1, (size_t)blocks + 2), *any = calloc(LINES, blocks);
    int ok = soft && close && some && any && open_enlarged(&e, near, 6, small_height, small_width, height, width);
    memcpy(out, picture, 3 * (size_t)height * width);
    for (int y = top - 2 * NEAR; ok && y < least(height, bottom + NEAR); y++) {
        int next = y + NEAR, slot = (next + LINES) % LINES;
        if (next < 0)
            continue;
        for (int block = first; block < beyond; block++) {
            int from = block * BLOCK, n = block_size(from, width);
            const float *restrict shares = alpha + (size_t)least(next, height - 1) * width + from;
            uint8_t *restrict to = soft + NEAR + from;
            some[block + 1] = next < height && any_soft(shares, n);
            if (some[block + 1])
                for (int i = 0; i < n; i++)
                    to[i] = (shares[i] > 0) & (shares[i] < 1);
            else
                memset(to, 0, BLOCK);
        }
        for (int block = first; block < beyond; block++) {
            any[slot * blocks + block] = some[block] | some[block + 1] | some[block + 2];
            if (!any[slot * blocks + block])
                continue;
            const uint8_t *restrict from = soft + block * BLOCK;
            uint8_t *restrict to = close + slot * stride + block * BLOCK;
            memcpy(to, from, BLOCK);
            for (int shift = 1; shift <= 2 * NEAR; shift++)
                for (int i = 0; i < BLOCK; i++)
                    to[i] |= from[i + shift];
        }
        if (y < 0)
            continue;
        const uint8_t *rgb = picture + (size_t)y * width * 3;
        uint8_t *made = out + (size_t)y * width * 3;
        Between b = {0};
        for (int block = first; block < beyond; block++) {
            int from = block * BLOCK, found = 0;
            uint8_t wanted[BLOCK] = {0};
            for (int line = 0; line < LINES; line++)
                if (any[line * blocks + block]) {
                    found = 1;
                    for (int i = 0; i < BLOCK; i++)
                        wanted[i] |= close[line * stride + from + i];
                }
            if (!found)
                continue;
            if (!b.above)
                b = enlarged_row(&e, y);
            Between here = {b.above + from, b.below + from, b.share};
            uint8_t fused[3 * BLOCK];
            fuse_block(fused, rgb + 3 * from, alpha + (size_t)y * width + from, here, width, block_size(from, width));
            for (int i = 0; i < block_size(from, width); i++)
                if (wanted[i])
                    memcpy(made + 3 * (from + i), fused + 3 * i, 3);
        }
    }
    close_enlarged(&e);
    free(soft);
    free(close);
    free(some);
    free(any);
    return ok;
}

/* out = B + α(F − B), rounded to the nearest, F as in fuse_colours, without making a picture of it. Rows of out and of the
   background lie so many bytes apart; out may be the background. 0: no memory. */
EXPORTED int KERNEL(fused_over)(uint8_t *out, int out_apart, const uint8_t *picture, const float *alpha, int height,
                                int width, const float *near, int small_height, int small_width,
                                const uint8_t *background, int background_apart)
{
    Enlarged e = {0};
    int ok = open_enlarged(&e, near, 6, small_height, small_width, height, width);
    for (int y = 0; ok && y < height; y++) {
        const uint8_t *rgb = picture + (size_t)y * width * 3, *behind = background + (size_t)y * background_apart;
        const float *shares = alpha + (size_t)y * width;
        uint8_t *made = out + (size_t)y * out_apart;
        Between b = {0};
        for (int from = 0; from < width; from += BLOCK) {
            int n = block_size(from, width);
            int kinds = kinds_in(shares + from, n);
            if (!(kinds & SOFT)) {
                over_block(made + 3 * from, rgb + 3 * from, shares + from, behind + 3 * from, kinds, n);
                continue;
            }
            uint8_t fused[3 * BLOCK];
            if (!b.above)
                b = enlarged_row(&e, y);
            Between here = {b.above + from, b.below + from, b.share};
            fuse_block(fused, rgb + 3 * from, shares + from, here, width, n);
            over_block(made + 3 * from, fused, shares + from, behind + 3 * from, ABOVE_ZERO | BELOW_ONE, n);
        }
    }
    close_enlarged(&e);
    return ok;
}
