// 2x2 max-pooling that remembers where each maximum was, and the unpooling that puts values back there.
//
// One byte a window says which of its four pixels won, in row-major order; of equal pixels the first wins, as in
// PyTorch. One thread does one window, so unpooling writes every output once and needs no clearing beforehand.
// Tensors are contiguous NCHW; `windows` is N*C*(H/2)*(W/2), `width` is W/2. The order of the arguments, inputs, numbers,
// outputs, is the one in which TensorRT launches the kernels of a plugin.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T>
__device__ __forceinline__ float wide(T x) { return static_cast<float>(x); }
template <>
__device__ __forceinline__ float wide(__half x) { return __half2float(x); }
template <>
__device__ __forceinline__ float wide(__nv_bfloat16 x) { return __bfloat162float(x); }

// The first pixel of the window in the full picture: window row r, column c is at 2r, 2c.
__device__ __forceinline__ long long corner(long long window, int width) {
    return (window / width) * 4 * width + (window % width) * 2;
}

template <typename T>
__device__ void pool(const T* x, int windows, int width, T* maxima, signed char* winners) {
    const long long window = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    if (window >= windows) return;
    const long long first = corner(window, width);
    const T pixels[4] = {x[first], x[first + 1], x[first + 2 * width], x[first + 2 * width + 1]};
    int winner = 0;
    for (int i = 1; i < 4; ++i)
        if (wide(pixels[i]) > wide(pixels[winner])) winner = i;
    maxima[window] = pixels[winner];
    winners[window] = static_cast<signed char>(winner);
}

template <typename T>
__device__ void unpool(const T* values, const signed char* winners, int windows, int width, T* y) {
    const long long window = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    if (window >= windows) return;
    const long long first = corner(window, width);
    const T value = values[window];
    const T zero = static_cast<T>(0.0f);
    const int winner = winners[window];
    y[first] = winner == 0 ? value : zero;
    y[first + 1] = winner == 1 ? value : zero;
    y[first + 2 * width] = winner == 2 ? value : zero;
    y[first + 2 * width + 1] = winner == 3 ? value : zero;
}

#define KERNELS(NAME, T)                                                                                              \
    extern "C" __global__ void pool_##NAME(const T* x, int windows, int width, T* maxima,                     \
                                           signed char* winners) {                                                    \
        pool(x, windows, width, maxima, winners);                                                                     \
    }                                                                                                                 \
    extern "C" __global__ void unpool_##NAME(const T* values, const signed char* winners, int windows,        \
                                             int width, T* y) {                                                       \
        unpool(values, winners, windows, width, y);                                                                   \
    }

KERNELS(fp32, float)
KERNELS(fp16, __half)
KERNELS(bf16, __nv_bfloat16)
