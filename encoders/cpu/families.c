/* What DeBERTa and ModernBERT compute besides, in one pass over memory on all cores.
 *
 * Arrays are contiguous float32. P pairs of a row and a head, T tokens, d columns of a head (even), N tokens of all
 * rows, C columns. Definitions: encoders/family_ops.py. */

#include "common.h"

/* ---- y[i, j] = scores[i, j] + to_key[i, T-1-i+j] + to_query[j, T-1-j+i]: scores, y (P, T, T); the others (P, T, 2T),
 * or none ---- */

void add_distance_scores(in scores, in to_key, in to_query, out y, i64 P, i64 T) {
#pragma omp parallel for schedule(static)
    for (i64 p = 0; p < P; p++) {
        in s = scores + p * T * T;
        out o = y + p * T * T;
        for (i64 i = 0; i < T; i++) {
            if (!to_key) {
                memcpy(o + i * T, s + i * T, T * sizeof(float));
                continue;
            }
            in k = to_key + (p * T + i) * 2 * T + T - 1 - i;
            for (i64 j = 0; j < T; j++) o[i * T + j] = s[i * T + j] + k[j];
        }
        if (!to_query) continue;
        for (i64 first = 0; first < T; first += BLOCK) /* a block of columns stays in the cache */
            for (i64 i = 0; i < T; i++)
                for (i64 j = first; j < least(T, first + BLOCK); j++)
                    o[i * T + j] += to_query[(p * T + j) * 2 * T + T - 1 - j + i];
    }
}

/* The gradient of to_key, or where turned of to_query: zeros but for what was added. */
void distance_scores_gradient(in grad, out grad_x, i64 turned, i64 P, i64 T) {
#pragma omp parallel for schedule(static)
    for (i64 p = 0; p < P; p++) {
        in g = grad + p * T * T;
        for (i64 i = 0; i < T; i++) {
            out o = grad_x + (p * T + i) * 2 * T;
            memset(o, 0, (T - 1 - i) * sizeof(float));
            memset(o + 2 * T - 1 - i, 0, (i + 1) * sizeof(float));
            if (turned)
                for (i64 j = 0; j < T; j++) o[T - 1 - i + j] = g[j * T + i];
            else
                memcpy(o + T - 1 - i, g + i * T, T * sizeof(float));
        }
    }
}

/* ---- x * cosine + sign * [-x2, x1] * sine: x, y (P, T, d), whose halves are x1 and x2; cosine, sine (T, d), both halves
 * alike. With sign -1 the rotation back, which is the gradient. ---- */

void rotate(in x, in cosine, in sine, out y, float sign, i64 P, i64 T, i64 d) {
    i64 half = d / 2;
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < P * T; row++) {
        in a = x + row * d, b = a + half, c = cosine + row % T * d, s = sine + row % T * d;
        out o = y + row * d, q = o + half;
        for (i64 i = 0; i < half; i++) {
            float turned = sign * s[i];
            o[i] = a[i] * c[i] - b[i] * turned;
            q[i] = b[i] * c[i] + a[i] * turned;
        }
    }
}

/* ---- gelu(a) * b, where a and b are the halves of x (N, 2C) ---- */

void gated_gelu(in x, out y, i64 N, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++) {
        in a = x + row * 2 * C, b = a + C;
        out o = y + row * C;
        for (i64 i = 0; i < C; i++) o[i] = 0.5f * a[i] * (1.0f + error_function(a[i] * 0.70710678f)) * b[i];
    }
}

void gated_gelu_gradient(in x, in grad, out grad_x, i64 N, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++) {
        in a = x + row * 2 * C, b = a + C, g = grad + row * C;
        out o = grad_x + row * 2 * C, q = o + C;
        for (i64 i = 0; i < C; i++) {
            float half = 0.5f * (1.0f + error_function(a[i] * 0.70710678f));
            float density = 0.39894228f * exponential(-0.5f * a[i] * a[i]);
            q[i] = g[i] * a[i] * half;
            o[i] = g[i] * b[i] * (half + a[i] * density);
        }
    }
}
