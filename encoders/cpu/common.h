/* What kernels.c, families.c and bf16.c share. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 64  /* columns that one loop holds in registers */
#define NARROW 32 /* the same, of a head */
#define PIECES 16 /* of the rows, for sums over them */
#define ROWS 128  /* of a block of columns, that stay in the first cache */
#define STRETCH 4096 /* of a parameter's numbers, that one thread takes at a time */

typedef int64_t i64;
typedef const float *restrict in;
typedef float *restrict out;

static inline i64 least(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 most(i64 a, i64 b) { return a > b ? a : b; }

/* e**x, relative error below 3e-7 (Cephes, expf): 2**n times a polynomial of the rest. 0 below -87, e**88 above 88;
 * NaN of NaN, which the polynomial keeps. What becomes an integer is always a number within its range. */
static inline float exponential(float x) {
    float within = x > 88.0f ? 88.0f : x;
    float n = floorf(within * 1.44269504f + 0.5f);
    float r = within - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    float number = n > -127.0f ? n : -127.0f;
    union { int32_t bits; float value; } scale = {.bits = ((int32_t)number + 127) << 23};
    return x < -87.0f ? 0.0f : p * scale.value;
}

/* The error function, absolute error below 5e-7 (the rational form that Eigen uses); exactly 1 beyond 4. */
static inline float error_function(float x) {
    float s = x * x;
    float p = -2.72614225801306e-10f;
    p = p * s + 2.77068142495902e-08f;
    p = p * s - 2.10102402082508e-06f;
    p = p * s - 5.69250639462346e-05f;
    p = p * s - 7.34990630326855e-04f;
    p = p * s - 2.95459980854025e-03f;
    p = p * s - 1.60960333262415e-02f;
    float q = -1.45660718464996e-05f;
    q = q * s - 2.13374055278905e-04f;
    q = q * s - 1.68282697438203e-03f;
    q = q * s - 7.37332916720468e-03f;
    q = q * s - 1.42647390514189e-02f;
    return x > 4.0f ? 1.0f : x < -4.0f ? -1.0f : x * p / q;
}

/* How many tokens row b has, of T at most; 0 where starts leads beyond the P tokens. */
static inline i64 real(const i64 *restrict starts, i64 b, i64 T, i64 P) {
    i64 length = starts[b + 1] - starts[b];
    return starts[b] < 0 || length < 0 || length > T || starts[b + 1] > P ? 0 : length;
}

/* Where the row of token n begins and ends: by its bounds, or rows of T tokens. */
static inline i64 begins(const i64 *restrict bounds, i64 n, i64 T) {
    return bounds ? most(0, bounds[2 * n]) : n / T * T;
}
static inline i64 ends(const i64 *restrict bounds, i64 n, i64 T, i64 N) {
    return bounds ? least(N, bounds[2 * n + 1]) : (n / T + 1) * T;
}
