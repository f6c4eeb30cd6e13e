/* What is done at the size of the frame, where an alpha is soft: one pass over its pixels, no array in between.

   Pictures are uint8 (H, W, 3), alphas float32 (H, W) in [0, 1], small planes float32 (planes, h, w); all contiguous.
   A row is worked on in blocks of BLOCK pixels, and blocks with nothing to do are left out. Compiled once for each
   level of the processor's instructions (LEVEL is part of every name), see dispatch.c. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#define BLOCK 16
#define JOIN(name, level) name##_##level
#define NAMED(name, level) JOIN(name, level)
#define KERNEL(name) NAMED(name, LEVEL)

/* Where along one side a pixel of the large picture lies in the small one: between which two, and how near the second.
   Pixels are squares, and outside the small picture its border goes on, as in OpenCV's linear interpolation. */
static void place(int at, int small, int full, int *first, int *second, float *share)
{
    float x = (float)((at + 0.5) * small / full - 0.5);
    if (x < 0)
        x = 0;
    int i = (int)x;
    if (i > small - 1)
        i = small - 1;
    *first = i;
    *second = i + 1 < small ? i + 1 : i;
    *share = *second == i ? 0 : x - i;
}

/* Planes (height, width, channels) that are enlarged row by row, and only between the columns left and right. */
typedef struct {
    const float *planes;
    int count, channels, height, width, full_height, full_width, left, right;
    int *first, *second;
    float *share;
    float *rows; /* two rows of all planes, enlarged across */
    int held[2]; /* which rows of the small planes they are */
} Enlarged;

static int open_enlarged(Enlarged *e, const float *planes, int count, int channels, int height, int width,
                         int full_height, int full_width, int left, int right)
{
    size_t across = (size_t)full_width * channels;
    *e = (Enlarged){planes, count, channels, height, width, full_height, full_width, left, right, 0, 0, 0, 0, {-1, -1}};
    e->first = malloc(sizeof(int) * across * 2);
    e->share = malloc(sizeof(float) * across);
    e->rows = malloc(sizeof(float) * across * count * 2);
    if (!e->first || !e->share || !e->rows)
        return 0;
    e->second = e->first + across;
    for (int x = left; x < right; x++) {
        int first, second;
        float share;
        place(x, width, full_width, &first, &second, &share);
        for (int channel = 0; channel < channels; channel++) {
            int at = x * channels + channel;
            e->first[at] = first * channels + channel;
            e->second[at] = second * channels + channel;
            e->share[at] = share;
        }
    }
    return 1;
}

static void close_enlarged(Enlarged *e)
{
    free(e->first);
    free(e->share);
    free(e->rows);
}

static float *enlarged_row(Enlarged *e, int y)
{
    int slot = y & 1; /* neighbours never share one */
    size_t across = (size_t)e->full_width * e->channels;
    float *rows = e->rows + slot * e->count * across;
    if (e->held[slot] == y)
        return rows;
    for (int plane = 0; plane < e->count; plane++) {
        const float *restrict from = e->planes + ((size_t)plane * e->height + y) * e->width * e->channels;
        float *restrict to = rows + plane * across;
        const int *restrict first = e->first, *restrict second = e->second;
        const float *restrict share = e->share;
        for (int x = e->left * e->channels; x < e->right * e->channels; x++)
            to[x] = from[first[x]] + share[x] * (from[second[x]] - from[first[x]]);
    }
    e->held[slot] = y;
    return rows;
}

typedef struct {
    const float *above, *below;
    float share;
} Between;

static Between between_rows(Enlarged *e, int y)
{
    int first, second;
    Between b;
    place(y, e->height, e->full_height, &first, &second, &b.share);
    b.above = enlarged_row(e, first);
    b.below = enlarged_row(e, second);
    return b;
}

/* Columns that hold all soft pixels, widened to whole blocks; 0 where there is none. */
static int soft_columns(const float *alpha, int height, int width, int *left, int *right)
{
    int blocks = (width + BLOCK - 1) / BLOCK, least = blocks, most = -1;
    for (int y = 0; y < height; y++) {
        const float *restrict row = alpha + (size_t)y * width;
        for (int b = 0; b < blocks; b++) {
            if (b > least && b <= most)
                continue;
            int end = b * BLOCK + BLOCK < width ? b * BLOCK + BLOCK : width, soft = 0;
            for (int x = b * BLOCK; x < end; x++)
                soft |= (row[x] > 0) & (row[x] < 1);
            if (soft) {
                least = b < least ? b : least;
                most = b > most ? b : most;
            }
        }
    }
    *left = least * BLOCK;
    *right = (most + 1) * BLOCK < width ? (most + 1) * BLOCK : width;
    return most >= 0;
}

static inline float within(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* alpha = a_y·Y + a_c·C + b where it is soft, Y and C being luminance and half of red − blue around 128 (weights: their
   six weights and the offset of each). 0: no memory. */
EXPORTED int KERNEL(filter_soft)(float *alpha, const uint8_t *picture, int height, int width, const float *coefficients,
                        int small_height, int small_width, const float *weights)
{
    int left, right;
    if (!soft_columns(alpha, height, width, &left, &right))
        return 1;
    Enlarged e;
    int ok = open_enlarged(&e, coefficients, 3, 1, small_height, small_width, height, width, left, right);
    for (int y = 0; ok && y < height; y++) {
        float *restrict row = alpha + (size_t)y * width;
        const uint8_t *restrict rgb = picture + (size_t)y * width * 3;
        Between b = {0, 0, 0};
        for (int from = left; from < right; from += BLOCK) {
            int n = right - from < BLOCK ? right - from : BLOCK, soft = 0;
            for (int i = 0; i < n; i++)
                soft |= (row[from + i] > 0) & (row[from + i] < 1);
            if (!soft)
                continue;
            if (!b.above)
                b = between_rows(&e, y);
            const float *restrict above = b.above + from, *restrict below = b.below + from;
            for (int i = 0; i < n; i++) {
                float red = rgb[3 * (from + i)], green = rgb[3 * (from + i) + 1], blue = rgb[3 * (from + i) + 2];
                float luma = weights[0] * red + weights[1] * green + weights[2] * blue + weights[3];
                float difference = weights[4] * red + weights[5] * green + weights[6] * blue + weights[7];
                float a_y = above[i] + b.share * (below[i] - above[i]);
                float a_c = above[i + width] + b.share * (below[i + width] - above[i + width]);
                float rest = above[i + 2 * width] + b.share * (below[i + 2 * width] - above[i + 2 * width]);
                float filtered = within(a_y * luma + a_c * difference + rest, 0, 1), old = row[from + i];
                row[from + i] = ((old > 0) & (old < 1)) ? filtered : old;
            }
        }
    }
    close_enlarged(&e);
    return ok;
}

/* A share for each pixel of a block, repeated for its three colours. */
static inline void repeat(float *restrict to, const float *restrict shares, int n)
{
    for (int i = 0; i < n; i++)
        to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = shares[i];
}

/* out = the picture, but F = αI + (1 − α)(F_b + α(F_b − B_b)) where alpha is soft or so within two pixels; near: F_b and
   B_b, (2, small height, small width, 3). 0: no memory. */
EXPORTED int KERNEL(fuse_colours)(uint8_t *out, const uint8_t *picture, const float *alpha, int height, int width,
                         const float *near, int small_height, int small_width)
{
    int left, right;
    memcpy(out, picture, (size_t)height * width * 3);
    if (!soft_columns(alpha, height, width, &left, &right))
        return 1;
    left = left > BLOCK ? left - BLOCK : 0;
    right = right + BLOCK < width ? right + BLOCK : width;
    Enlarged e;
    int ok = open_enlarged(&e, near, 2, 3, small_height, small_width, height, width, left, right);
    /* Which pixels are soft, in five rows: two pixels more on either side, so that none is looked for outside. */
    size_t stride = (size_t)width + 4 + BLOCK;
    uint8_t *soft = calloc(5, stride);
    ok = ok && soft;
    for (int y = -2; ok && y < height; y++) {
        int coming = y + 2;
        uint8_t *restrict row = soft + (coming % 5) * stride + 2;
        if (coming < height)
            for (int x = left; x < right; x++) {
                float a = alpha[(size_t)coming * width + x];
                row[x] = (a > 0) & (a < 1);
            }
        else
            memset(row, 0, width);
        if (y < 0)
            continue;
        const float *restrict shares = alpha + (size_t)y * width;
        const uint8_t *restrict rgb = picture + (size_t)y * width * 3;
        uint8_t *restrict made = out + (size_t)y * width * 3;
        Between b = {0, 0, 0};
        for (int from = left; from < right; from += BLOCK) {
            int n = right - from < BLOCK ? right - from : BLOCK, some = 0;
            uint8_t any[BLOCK + 4] = {0}, mask[BLOCK];
            for (int line = 0; line < 5; line++)
                for (int i = 0; i < BLOCK + 4; i++)
                    any[i] |= soft[line * stride + from + i];
            for (int i = 0; i < BLOCK; i++) {
                mask[i] = any[i] | any[i + 1] | any[i + 2] | any[i + 3] | any[i + 4];
                some |= mask[i];
            }
            if (!some)
                continue;
            if (!b.above)
                b = between_rows(&e, y);
            const float *restrict above = b.above + 3 * (size_t)from, *restrict below = b.below + 3 * (size_t)from;
            const float *restrict above_b = above + 3 * (size_t)width, *restrict below_b = below + 3 * (size_t)width;
            float share[3 * BLOCK];
            uint8_t fused[3 * BLOCK];
            repeat(share, shares + from, n);
            for (int i = 0; i < 3 * n; i++) {
                float foreground = above[i] + b.share * (below[i] - above[i]);
                float background = above_b[i] + b.share * (below_b[i] - above_b[i]);
                float mixed = foreground + share[i] * (foreground - background);
                fused[i] = (uint8_t)(within(mixed + share[i] * (rgb[3 * from + i] - mixed), 0, 255) + 0.5f);
            }
            for (int i = 0; i < n; i++)
                if (mask[i])
                    memcpy(made + 3 * (from + i), fused + 3 * i, 3);
        }
    }
    close_enlarged(&e);
    free(soft);
    return ok;
}

/* out = B + α(F − B), rounded to the nearest; out may be the background. */
EXPORTED int KERNEL(over)(uint8_t *out, const uint8_t *foreground, const float *alpha, const uint8_t *background, int height,
                  int width)
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
