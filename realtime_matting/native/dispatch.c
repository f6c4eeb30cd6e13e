/* Which of the compiled levels this processor can run: 3 for x86-64-v3 (AVX2, FMA, BMI), else 2. */

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

EXPORTED int processor_level(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 2;
    /* FMA, MOVBE, OSXSAVE, AVX, F16C; then what the system saves of the registers; then AVX2, BMI1, BMI2. */
    unsigned wanted = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
    if ((c & wanted) != wanted)
        return 2;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6)
        return 2;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 2;
    wanted = 1u << 3 | 1u << 5 | 1u << 8;
    if ((b & wanted) != wanted)
        return 2;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 5 ? 3 : 2; /* LZCNT */
}
#else
EXPORTED int processor_level(void)
{
    return 2;
}
#endif
