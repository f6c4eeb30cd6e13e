/* The fast guided filter (He & Sun 2015, arXiv 1505.00996) with a guide of two planes: Y, luminance, and C, half of
   red − blue around 128. */

#include "box.h"
#include "enlarge.h"

/* Y and C of a pixel; weights: of red, green, blue and 1, for Y, then for C. */
static inline void levels(const uint8_t *restrict rgb, const float *restrict weights, float *y, float *c)
{
    float red = rgb[0], green = rgb[1], blue = rgb[2];
    *y = weights[0] * red + weights[1] * green + weights[2] * blue + weights[3];
    *c = weights[4] * red + weights[5] * green + weights[6] * blue + weights[7];
}

/* out (3, height, width): what Y and C are multiplied by and the offset, means over the windows of each pixel. Each
   window solves (Σ + εE)·a = cov(I, α), b = mean(α) − a·mean(I) (He et al. 2013, TPAMI, section 3.4). 0: no memory. */
EXPORTED int KERNEL(coefficients)(float *out, const uint8_t *guide, const float *alpha, int height, int width,
                                  const float *weights, int radius, float smoothness)
{
    size_t n = (size_t)height * width;
    float *planes = malloc(sizeof(float) * n * 16);
    if (!planes)
        return 0;
    float *means = planes + 8 * n;
    for (size_t i = 0; i < n; i++) {
        float y, c, a = alpha[i];
        levels(guide + 3 * i, weights, &y, &c);
        planes[i] = y;
        planes[i + n] = c;
        planes[i + 2 * n] = a;
        planes[i + 3 * n] = y * y;
        planes[i + 4 * n] = y * c;
        planes[i + 5 * n] = y * a;
        planes[i + 6 * n] = c * c;
        planes[i + 7 * n] = c * a;
    }
    int ok = 1;
    for (int plane = 0; plane < 8; plane++)
        ok &= box_means(means + plane * n, planes + plane * n, height, width, radius);
    for (size_t i = 0; i < n; i++) {
        float y = means[i], c = means[i + n], a = means[i + 2 * n];
        float yy = means[i + 3 * n] - y * y + smoothness, yc = means[i + 4 * n] - y * c;
        float ya = means[i + 5 * n] - y * a, ca = means[i + 7 * n] - c * a;
        float cc = means[i + 6 * n] - c * c + smoothness / 4; /* of half the difference */
        float ratio = yc / yy;
        float slope_c = (ca - ratio * ya) / (cc - ratio * yc);
        float slope_y = (ya - yc * slope_c) / yy;
        planes[i] = slope_y;
        planes[i + n] = slope_c;
        planes[i + 2 * n] = a - slope_y * y - slope_c * c;
    }
    for (int plane = 0; plane < 3; plane++)
        ok &= box_means(out + plane * n, planes + plane * n, height, width, radius);
    free(planes);
    return ok;
}

/* alpha (height, width), changed: where it is between 0 and 1, a_Y·Y + a_C·C + b instead, kept between 0 and the ceiling
   (ceiling height, ceiling width). 0: no memory. */
EXPORTED int KERNEL(filter_soft)(float *alpha, const uint8_t *picture, int height, int width, const float *coefficients,
                                 int small_height, int small_width, const float *ceiling, int ceiling_height,
                                 int ceiling_width, const float *weights)
{
    Enlarged e = {0}, most = {0};
    int ok = open_enlarged(&e, coefficients, 3, small_height, small_width, height, width) &&
             open_enlarged(&most, ceiling, 1, ceiling_height, ceiling_width, height, width);
    for (int y = 0; ok && y < height; y++) {
        float *restrict row = alpha + (size_t)y * width;
        const uint8_t *restrict rgb = picture + (size_t)y * width * 3;
        Between b = {0}, top = {0};
        for (int from = 0; from < width; from += BLOCK) {
            int n = block_size(from, width);
            if (!any_soft(row + from, n))
                continue;
            if (!b.above) {
                b = enlarged_row(&e, y);
                top = enlarged_row(&most, y);
            }
            const float *restrict above = b.above + from, *restrict below = b.below + from;
            for (int i = 0; i < n; i++) {
                float luminance, difference, old = row[from + i];
                levels(rgb + 3 * (from + i), weights, &luminance, &difference);
                float a_y = between(above, below, b.share, i);
                float a_c = between(above + width, below + width, b.share, i);
                float rest = between(above + 2 * (size_t)width, below + 2 * (size_t)width, b.share, i);
                /* Weights of neighbours, rounded, may add up to a little more than 1. */
                float highest = within(between(top.above + from, top.below + from, top.share, i), 0, 1);
                float filtered = within(a_y * luminance + a_c * difference + rest, 0, highest);
                row[from + i] = ((old > 0) & (old < 1)) ? filtered : old;
            }
        }
    }
    free(e.rows);
    free(most.rows);
    return ok;
}
