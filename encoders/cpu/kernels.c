/* What Paddle computes on CPUs in many passes over memory, each on one core, in one pass on all.
 *
 * Arrays are contiguous float32. B rows, T tokens, N = B*T, P real tokens, C or H columns, h heads of d columns,
 * K kernel size (odd). kernels.py checks how many numbers an array has; what stands in starts and bounds leads nowhere else.
 * Every sum over rows is made in pieces that do not depend on the number of threads, so neither do results.
 * Definitions: encoders/convolution.py, and the formulas in encoders/cpu/compiled.py. */

#include "common.h"

/* ---- tokens by head: x (P, h*d), the rows' real tokens without padding, row b at starts[b] to starts[b + 1];
 * y (B, h, T, d), zeros at padding ---- */

void pad_to_heads(in x, const i64 *restrict starts, out y, i64 P, i64 B, i64 h, i64 T, i64 d) {
#pragma omp parallel for collapse(2) schedule(static)
    for (i64 b = 0; b < B; b++)
        for (i64 head = 0; head < h; head++) {
            i64 length = real(starts, b, T, P);
            out o = y + (b * h + head) * T * d;
            for (i64 t = 0; t < length; t++)
                memcpy(o + t * d, x + ((starts[b] + t) * h + head) * d, d * sizeof(float));
            memset(o + length * d, 0, (T - length) * d * sizeof(float));
        }
}

void unpad_from_heads(in y, const i64 *restrict starts, out x, i64 P, i64 B, i64 h, i64 T, i64 d) {
#pragma omp parallel for collapse(2) schedule(static)
    for (i64 b = 0; b < B; b++)
        for (i64 head = 0; head < h; head++)
            for (i64 t = 0, length = real(starts, b, T, P); t < length; t++)
                memcpy(x + ((starts[b] + t) * h + head) * d, y + ((b * h + head) * T + t) * d, d * sizeof(float));
}

/* ---- convolutions of N tokens, rows of T, or where bounds (N, 2) are given, rows from the first of a token's
 * bounds to the second; a row does not see another ---- */

/* x (N, C), weight (K, C). flip: the kernel in reverse order, which is the gradient of x. */
void depthwise(in x, in weight, const i64 *restrict bounds, out y, i64 flip, i64 B, i64 T, i64 C, i64 K) {
    i64 half = K / 2, N = B * T;
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        i64 from = most(0, begins(bounds, n, T) - n + half), to = least(K, ends(bounds, n, T, N) - n + half);
        for (i64 c = 0; c < C; c += BLOCK) {
            i64 width = least(BLOCK, C - c);
            float sum[BLOCK] = {0};
            for (i64 j = from; j < to; j++) {
                in w = weight + (flip ? K - 1 - j : j) * C + c, v = x + (n + j - half) * C + c;
                if (width == BLOCK)
                    for (i64 i = 0; i < BLOCK; i++) sum[i] += w[i] * v[i];
                else
                    for (i64 i = 0; i < width; i++) sum[i] += w[i] * v[i];
            }
            memcpy(y + n * C + c, sum, width * sizeof(float));
        }
    }
}

/* ROWS tokens at a time, so that all K offsets find them in the cache. */
void depthwise_weight_gradient(in x, in grad, const i64 *restrict bounds, out grad_weight,
                               i64 B, i64 T, i64 C, i64 K) {
    i64 half = K / 2, N = B * T;
#pragma omp parallel for schedule(static)
    for (i64 c = 0; c < C; c += BLOCK) {
        i64 width = least(BLOCK, C - c);
        for (i64 j = 0; j < K; j++) memset(grad_weight + j * C + c, 0, width * sizeof(float));
        for (i64 first = 0, behind; first < N; first = behind) {
            i64 begin = begins(bounds, first, T), end = ends(bounds, first, T, N);
            behind = most(first + 1, least(first + ROWS, end));
            for (i64 j = 0; j < K; j++) {
                i64 from = most(first, begin + half - j), to = least(behind, end + half - j);
                float sum[BLOCK] = {0};
                for (i64 n = from; n < to; n++) {
                    in g = grad + n * C + c, v = x + (n + j - half) * C + c;
                    if (width == BLOCK)
                        for (i64 i = 0; i < BLOCK; i++) sum[i] += g[i] * v[i];
                    else
                        for (i64 i = 0; i < width; i++) sum[i] += g[i] * v[i];
                }
                for (i64 i = 0; i < width; i++) grad_weight[j * C + c + i] += sum[i];
            }
        }
    }
}

/* Of values + bias: kernels, the softmax of scores (N, h, K); values (N, h*d), bias (h*d). y (N, A + h*d): its
 * rows begin with those of attended (N, A). */
void span(in scores, in values, in bias, in attended, const i64 *restrict bounds, out kernels, out y,
          i64 B, i64 T, i64 h, i64 d, i64 K, i64 A) {
    i64 half = K / 2, N = B * T, C = h * d;
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        i64 from = most(0, begins(bounds, n, T) - n + half), to = least(K, ends(bounds, n, T, N) - n + half);
        memcpy(y + n * (A + C), attended + n * A, A * sizeof(float));
        for (i64 head = 0; head < h; head++) {
            in s = scores + (n * h + head) * K;
            out k = kernels + (n * h + head) * K;
            float top = -INFINITY, total = 0;
            for (i64 j = 0; j < K; j++) top = s[j] > top ? s[j] : top;
            for (i64 j = 0; j < K; j++) k[j] = exponential(s[j] - top);
            for (i64 j = 0; j < K; j++) total += k[j];
            for (i64 j = 0; j < K; j++) k[j] /= total;
            for (i64 c = 0; c < d; c += NARROW) {
                i64 width = least(NARROW, d - c);
                float sum[NARROW] = {0};
                for (i64 j = from; j < to; j++) {
                    in v = values + (n + j - half) * C + head * d + c, o = bias + head * d + c;
                    if (width == NARROW)
                        for (i64 i = 0; i < NARROW; i++) sum[i] += k[j] * (v[i] + o[i]);
                    else
                        for (i64 i = 0; i < width; i++) sum[i] += k[j] * (v[i] + o[i]);
                }
                memcpy(y + n * (A + C) + A + head * d + c, sum, width * sizeof(float));
            }
        }
    }
}

void span_gradient(in kernels, in values, in bias, const i64 *restrict bounds, in grad, out grad_scores,
                   out grad_values, out grad_attended, i64 B, i64 T, i64 h, i64 d, i64 K, i64 A) {
    i64 half = K / 2, N = B * T, C = h * d, W = A + C;
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        i64 begin = begins(bounds, n, T), end = ends(bounds, n, T, N);
        memcpy(grad_attended + n * A, grad + n * W, A * sizeof(float));
        for (i64 head = 0; head < h; head++) {
            in k = kernels + (n * h + head) * K, g = grad + n * W + A + head * d;
            out o = grad_scores + (n * h + head) * K;
            float along = 0;
            for (i64 j = 0; j < K; j++) { /* this token's offset j */
                i64 read = n + j - half;
                float sum = 0;
                if (read >= begin && read < end) {
                    in v = values + read * C + head * d, u = bias + head * d;
                    for (i64 i = 0; i < d; i++) sum += g[i] * (v[i] + u[i]);
                }
                o[j] = sum;
            }
            for (i64 j = 0; j < K; j++) along += o[j] * k[j];
            for (i64 j = 0; j < K; j++) o[j] = (o[j] - along) * k[j];
            for (i64 c = 0; c < d; c += NARROW) {
                i64 width = least(NARROW, d - c);
                float sum[NARROW] = {0};
                for (i64 j = 0; j < K; j++) { /* whose offset j this token is */
                    i64 reader = n - j + half;
                    if (reader < begin || reader >= end) continue;
                    float weight = kernels[(reader * h + head) * K + j];
                    in v = grad + reader * W + A + head * d + c;
                    if (width == NARROW)
                        for (i64 i = 0; i < NARROW; i++) sum[i] += weight * v[i];
                    else
                        for (i64 i = 0; i < width; i++) sum[i] += weight * v[i];
                }
                memcpy(grad_values + n * C + head * d + c, sum, width * sizeof(float));
            }
        }
    }
}

/* ---- (x + bias) * y: x, y (N, C), bias (C) ---- */

void biased_product(in x, in bias, in y, out z, i64 N, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++)
        for (i64 i = row * C; i < row * C + C; i++) z[i] = (x[i] + bias[i - row * C]) * y[i];
}

/* pieces: (PIECES, C), to hold the sums for the bias. */
void biased_product_gradient(in x, in bias, in y, in grad, out grad_x, out grad_y, out pieces, out grad_bias,
                             i64 N, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 piece = 0; piece < PIECES; piece++) {
        out sum = pieces + piece * C;
        memset(sum, 0, C * sizeof(float));
        for (i64 row = N * piece / PIECES; row < N * (piece + 1) / PIECES; row++) {
            in a = x + row * C, b = y + row * C, g = grad + row * C;
            out grad_a = grad_x + row * C, grad_b = grad_y + row * C;
            for (i64 i = 0; i < C; i++) {
                grad_a[i] = g[i] * b[i];
                grad_b[i] = g[i] * (a[i] + bias[i]);
                sum[i] += g[i] * b[i];
            }
        }
    }
    memset(grad_bias, 0, C * sizeof(float));
    for (i64 piece = 0; piece < PIECES; piece++)
        for (i64 i = 0; i < C; i++) grad_bias[i] += pieces[piece * C + i];
}

/* ---- x + bias in place: x (N, C), bias (C) ---- */

void add_bias(out x, in bias, i64 N, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++)
        for (i64 i = 0; i < C; i++) x[row * C + i] += bias[i];
}

/* ---- gelu of x + bias: x (N, C) ---- */

void gelu(in x, in bias, out y, i64 N, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++)
        for (i64 i = 0; i < C; i++) {
            float v = x[row * C + i] + bias[i];
            y[row * C + i] = 0.5f * v * (1.0f + error_function(v * 0.70710678f));
        }
}

void gelu_gradient(in x, in bias, in grad, out grad_x, i64 N, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++)
        for (i64 i = 0; i < C; i++) {
            float v = x[row * C + i] + bias[i];
            float density = 0.39894228f * exponential(-0.5f * v * v);
            float slope = 0.5f * (1.0f + error_function(v * 0.70710678f)) + v * density;
            grad_x[row * C + i] = grad[row * C + i] * slope;
        }
}

/* ---- LayerNorm of x + dropout(y + bias): x, y (N, H); random_bits (N, H): kept where they are >= threshold ---- */

void add_norm(in x, in y, in bias, const uint16_t *restrict random_bits, i64 threshold, in gain, in shift,
              float epsilon, out normalised, out inverse_deviation, out z, i64 N, i64 H) {
    float scale = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++) {
        in a = x + row * H, b = y + row * H;
        out s = normalised + row * H, o = z + row * H;
        if (random_bits) {
            const uint16_t *restrict w = random_bits + row * H;
            for (i64 i = 0; i < H; i++) s[i] = a[i] + (w[i] >= threshold ? (b[i] + bias[i]) * scale : 0.0f);
        } else
            for (i64 i = 0; i < H; i++) s[i] = a[i] + b[i] + bias[i];
        float mean = 0, variance = 0;
        for (i64 i = 0; i < H; i++) mean += s[i];
        mean /= (float)H;
        for (i64 i = 0; i < H; i++) variance += (s[i] - mean) * (s[i] - mean);
        float factor = 1.0f / sqrtf(variance / (float)H + epsilon);
        inverse_deviation[row] = factor;
        for (i64 i = 0; i < H; i++) {
            s[i] = (s[i] - mean) * factor; /* normalised: all that the gradient needs */
            o[i] = s[i] * gain[i] + shift[i];
        }
    }
}

/* pieces: (PIECES, 3, H), to hold the sums for bias, gain and shift. */
void add_norm_gradient(in normalised, in inverse_deviation, const uint16_t *restrict random_bits, i64 threshold,
                       in gain, in grad, out grad_x, out grad_y, out pieces, out grad_bias, out grad_gain,
                       out grad_shift, i64 N, i64 H) {
    float scale = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 piece = 0; piece < PIECES; piece++) {
        out bias = pieces + piece * 3 * H, gains = bias + H, shifts = gains + H;
        memset(bias, 0, 3 * H * sizeof(float));
        for (i64 row = N * piece / PIECES; row < N * (piece + 1) / PIECES; row++) {
            in n = normalised + row * H, g = grad + row * H;
            out a = grad_x + row * H, b = grad_y + row * H;
            float mean = 0, along = 0;
            for (i64 i = 0; i < H; i++) {
                float v = g[i] * gain[i];
                mean += v;
                along += v * n[i];
                gains[i] += g[i] * n[i];
                shifts[i] += g[i];
            }
            mean /= (float)H;
            along /= (float)H;
            for (i64 i = 0; i < H; i++) a[i] = (g[i] * gain[i] - mean - n[i] * along) * inverse_deviation[row];
            if (random_bits) {
                const uint16_t *restrict w = random_bits + row * H;
                for (i64 i = 0; i < H; i++) b[i] = w[i] >= threshold ? a[i] * scale : 0.0f;
            } else
                memcpy(b, a, H * sizeof(float));
            for (i64 i = 0; i < H; i++) bias[i] += b[i];
        }
    }
    float *totals[3] = {grad_bias, grad_gain, grad_shift};
    for (i64 kind = 0; kind < 3; kind++) {
        memset(totals[kind], 0, H * sizeof(float));
        for (i64 piece = 0; piece < PIECES; piece++)
            for (i64 i = 0; i < H; i++) totals[kind][i] += pieces[(piece * 3 + kind) * H + i];
    }
}

/* ---- dropout(softmax(scale * scores, masked)): scores (B, h, T, T); mask (B, T), 0 at padding, or none ---- */

void attention_weights(in scores, in mask, const uint16_t *restrict random_bits, i64 threshold, float scale,
                       out softmax, out dropped, i64 B, i64 h, i64 T, i64 S) {
    float keep = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < B * h * T; row++) {
        in s = scores + row * S;
        out p = softmax + row * S, q = dropped + row * S;
        float top = -INFINITY, total = 0;
        if (mask) {
            in m = mask + row / (h * T) * S;
            for (i64 i = 0; i < S; i++) p[i] = s[i] * scale + (1.0f - m[i]) * -10000.0f;
        } else
            for (i64 i = 0; i < S; i++) p[i] = s[i] * scale;
        for (i64 i = 0; i < S; i++) top = p[i] > top ? p[i] : top;
        for (i64 i = 0; i < S; i++) p[i] = exponential(p[i] - top); /* at padding 0 */
        for (i64 i = 0; i < S; i++) total += p[i];
        for (i64 i = 0; i < S; i++) p[i] /= total;
        if (random_bits) {
            const uint16_t *restrict w = random_bits + row * S;
            for (i64 i = 0; i < S; i++) q[i] = w[i] >= threshold ? p[i] * keep : 0.0f;
        }
    }
}

void attention_weights_gradient(in softmax, const uint16_t *restrict random_bits, i64 threshold, float scale,
                                in grad, out grad_scores, i64 rows, i64 S) {
    float keep = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < rows; row++) {
        in p = softmax + row * S, g = grad + row * S;
        out o = grad_scores + row * S;
        if (random_bits) {
            const uint16_t *restrict w = random_bits + row * S;
            for (i64 i = 0; i < S; i++) o[i] = w[i] >= threshold ? g[i] * keep : 0.0f;
        } else
            memcpy(o, g, S * sizeof(float));
        float along = 0;
        for (i64 i = 0; i < S; i++) along += o[i] * p[i];
        for (i64 i = 0; i < S; i++) o[i] = (o[i] - along) * p[i] * scale;
    }
}

/* ---- the optimiser ---- */

/* The sum of squares of n numbers, into *total. */
void squares(in x, double *restrict total, i64 n) {
    double pieces[PIECES];
#pragma omp parallel for schedule(static) if (n > 65536)
    for (i64 piece = 0; piece < PIECES; piece++) {
        double sum = 0;
        for (i64 i = n * piece / PIECES; i < n * (piece + 1) / PIECES; i++) sum += (double)x[i] * x[i];
        pieces[piece] = sum;
    }
    *total = 0;
    for (i64 piece = 0; piece < PIECES; piece++) *total += pieces[piece];
}

/* One step of Paddle's AdamW with the gradient times scale. powers: beta1**t and beta2**t, moved on. */
void adamw(out x, in grad, out first, out second, out power1, out power2, float rate, float beta1, float beta2,
           float epsilon, float decay, float scale, i64 n) {
    float root = sqrtf(1.0f - *power2), step = rate * root / (1.0f - *power1), floor = epsilon * root;
    float keep = 1.0f - rate * decay;
#pragma omp parallel for schedule(static) if (n > 65536)
    for (i64 begin = 0; begin < n; begin += STRETCH) {
        i64 end = least(n, begin + STRETCH);
#pragma omp simd
        for (i64 i = begin; i < end; i++) {
            float g = grad[i] * scale;
            float m = beta1 * first[i] + (1.0f - beta1) * g, v = beta2 * second[i] + (1.0f - beta2) * g * g;
            first[i] = m;
            second[i] = v;
            x[i] = x[i] * keep - step * m / (sqrtf(v) + floor);
        }
    }
    *power1 *= beta1;
    *power2 *= beta2;
}
