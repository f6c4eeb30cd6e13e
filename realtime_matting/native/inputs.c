/* What networks are given: planes of floats, mirrored beyond the right and the bottom edge, or with the last pixels
   repeated there. */

#include "kernels.h"

/* The pixel that stands in for one beyond the edge: the last one, or mirrored as often as it takes, 0 1 2 3 2 1 0 1 …
   for four. */
static int inside(int at, int count, int mirrored)
{
    if (at < count)
        return at;
    if (!mirrored || count == 1)
        return count - 1;
    at %= 2 * count - 2;
    return at < count ? at : 2 * count - 2 - at;
}

/* out (3, full_height, full_width) = scale · colour + offset; rows of the picture lie `pitch` bytes apart. */
EXPORTED int KERNEL(normalised)(float *out, int full_height, int full_width, const uint8_t *picture, int pitch,
                                int height, int width, const float *scale, const float *offset, int mirrored)
{
    size_t plane = (size_t)full_height * full_width;
    for (int y = 0; y < full_height; y++) {
        const uint8_t *restrict rgb = picture + (size_t)inside(y, height, mirrored) * pitch;
        for (int colour = 0; colour < 3; colour++) {
            float *restrict row = out + colour * plane + (size_t)y * full_width;
            for (int x = 0; x < width; x++)
                row[x] = scale[colour] * rgb[3 * x + colour] + offset[colour];
            for (int x = width; x < full_width; x++)
                row[x] = row[inside(x, width, mirrored)];
        }
    }
    return 1;
}

/* out (full_height, full_width) = the plane; its rows lie `pitch` numbers apart. */
EXPORTED int KERNEL(padded)(float *out, int full_height, int full_width, const float *plane, int pitch, int height,
                            int width, int mirrored)
{
    for (int y = 0; y < full_height; y++) {
        float *row = out + (size_t)y * full_width;
        memcpy(row, plane + (size_t)inside(y, height, mirrored) * pitch, sizeof(float) * width);
        for (int x = width; x < full_width; x++)
            row[x] = row[inside(x, width, mirrored)];
    }
    return 1;
}

/* out (3, n): background, unknown and foreground in [0, 1], of two planes of bytes. */
EXPORTED int KERNEL(shares)(float *restrict out, const uint8_t *restrict unknown, const uint8_t *restrict foreground, int n)
{
    for (int i = 0; i < n; i++) {
        int rest = 255 - unknown[i] - foreground[i];
        out[i] = (rest > 0 ? rest : 0) * (1 / 255.0f);
    }
    for (int i = 0; i < n; i++)
        out[n + i] = unknown[i] * (1 / 255.0f);
    for (int i = 0; i < n; i++)
        out[2 * (size_t)n + i] = foreground[i] * (1 / 255.0f);
    return 1;
}
