/* The passes between products in bfloat16 (onednn.c): each reads and writes the products' operands as they are.
 *
 * Sums and functions are computed in float32. N real tokens, which are the first of R rows: the rows behind them, up to
 * a size that products like, are written as zeros. B rows of text, the b-th at tokens starts[b] to starts[b + 1]; T the
 * longest; S >= T tokens where they stand by head; h heads of d columns; C, H, W columns; K kernel size.
 * bounds (N, 2): where the row of each token begins and ends. Otherwise as kernels.c. */

#include "common.h"

typedef const uint16_t *restrict bin;
typedef uint16_t *restrict bout;

static inline float widen(uint16_t x) {
    union { uint32_t bits; float value; } number = {.bits = (uint32_t)x << 16};
    return number.value;
}

/* To the nearest, of two to the even one; NaN stays NaN. */
static inline uint16_t narrow(float x) {
    union { float value; uint32_t bits; } number = {.value = x};
    uint32_t rounded = (number.bits + 0x7fff + (number.bits >> 16 & 1)) >> 16;
    return (uint16_t)((number.bits & 0x7fffffff) > 0x7f800000 ? number.bits >> 16 | 0x40 : rounded);
}

static inline void zero_rows(uint16_t *x, i64 from, i64 to, i64 C) { memset(x + from * C, 0, (to - from) * C * 2); }

/* The sum of PIECES rows of C numbers. */
static void sum_pieces(const float *pieces, i64 step, out sums, i64 C) {
    memset(sums, 0, C * sizeof(float));
    for (i64 piece = 0; piece < PIECES; piece++)
        for (i64 i = 0; i < C; i++) sums[i] += pieces[piece * step + i];
}

/* x (N, C) as the columns of y (R, W) from the from-th */
void bf16_round(in x, bout y, i64 from, i64 N, i64 R, i64 C, i64 W) {
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++)
        for (i64 i = 0; i < C; i++) y[n * W + from + i] = narrow(x[n * C + i]);
    for (i64 n = N; n < R; n++) memset(y + n * W + from, 0, C * 2);
}

/* x (K, C), transposed (C, K), in blocks of 32 rows and 64 columns, two rows interlaced; zeros beside it. */
void bf16_pack(bin x, bout y, i64 transposed, i64 K, i64 C) {
    i64 blocks = (K + 31) / 32;
#pragma omp parallel for collapse(2) schedule(static)
    for (i64 c = 0; c < C; c += 64)
        for (i64 block = 0; block < blocks; block++) {
            i64 k = block * 32, rows = least(32, K - k), columns = least(64, C - c);
            uint32_t o[16][64] = {0};
            if (transposed)
                for (i64 i = 0; i < columns; i++) {
                    uint32_t pairs[16] = {0};
                    memcpy(pairs, x + (c + i) * K + k, rows * 2);
                    for (i64 j = 0; j < 16; j++) o[j][i] = pairs[j];
                }
            else
                for (i64 j = 0; j < rows; j++) {
                    bin row = x + (k + j) * C + c;
                    if (j % 2)
                        for (i64 i = 0; i < columns; i++) o[j / 2][i] |= (uint32_t)row[i] << 16;
                    else
                        for (i64 i = 0; i < columns; i++) o[j / 2][i] = row[i];
                }
            memcpy(y + (c / 64 * blocks + block) * 2048, o, sizeof o);
        }
}

/* pieces: (PIECES, C) */
void bf16_column_sums(bin x, out pieces, out sums, i64 R, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 piece = 0; piece < PIECES; piece++) {
        out sum = pieces + piece * C;
        memset(sum, 0, C * sizeof(float));
        for (i64 n = R * piece / PIECES; n < R * (piece + 1) / PIECES; n++)
            for (i64 i = 0; i < C; i++) sum[i] += widen(x[n * C + i]);
    }
    sum_pieces(pieces, C, sums, C);
}

/* The rows of x (N, C) at the starts, as y (R, C). */
void bf16_first_rows(bin x, const i64 *restrict starts, bout y, i64 B, i64 N, i64 R, i64 C) {
    for (i64 b = 0; b < B; b++) memcpy(y + b * C, x + least(most(starts[b], 0), N - 1) * C, C * 2);
    zero_rows(y, B, R, C);
}

/* The way back: y (R, C) is zero but for the rows at the starts, which are those of x (B, C). */
void bf16_spread_rows(bin x, const i64 *restrict starts, bout y, i64 B, i64 N, i64 R, i64 C) {
    zero_rows(y, 0, R, C);
    for (i64 b = 0; b < B; b++) memcpy(y + least(most(starts[b], 0), N - 1) * C, x + b * C, C * 2);
}

/* ---- attention: x (R, W), from whose columns on: query, key, value of h*d each; by head (B, h, S, d) ---- */

void bf16_to_heads(bin x, const i64 *restrict starts, bout y, i64 from, i64 N, i64 R, i64 W, i64 B, i64 h, i64 T,
                   i64 S, i64 d) {
#pragma omp parallel for collapse(2) schedule(static)
    for (i64 b = 0; b < B; b++)
        for (i64 head = 0; head < h; head++) {
            i64 length = real(starts, b, T, N);
            bout o = y + (b * h + head) * S * d;
            for (i64 t = 0; t < length; t++) memcpy(o + t * d, x + (starts[b] + t) * W + from + head * d, d * 2);
            zero_rows(o, length, S, d);
        }
}

void bf16_from_heads(bin y, const i64 *restrict starts, bout x, i64 from, i64 N, i64 R, i64 W, i64 B, i64 h, i64 T,
                     i64 S, i64 d) {
#pragma omp parallel for schedule(static)
    for (i64 b = 0; b < B; b++)
        for (i64 t = 0, length = real(starts, b, T, N); t < length; t++)
            for (i64 head = 0; head < h; head++)
                memcpy(x + (starts[b] + t) * W + from + head * d, y + ((b * h + head) * S + t) * d, d * 2);
    for (i64 n = N; n < R; n++) memset(x + n * W + from, 0, h * d * 2);
}

/* softmax (B, h, S, S) of scale * scores, and dropped with random_bits (B, h, T, T); zeros at padding. */
void bf16_softmax(in scores, const i64 *restrict starts, const uint16_t *restrict random_bits, i64 threshold,
                  float scale, bout softmax, bout dropped, i64 N, i64 B, i64 h, i64 T, i64 S) {
    float keep = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < B * h * S; row++) {
        i64 t = row % S, pair = row / S, length = real(starts, pair / h, T, N);
        bout p = softmax + row * S, q = dropped + row * S;
        i64 filled = t < length ? length : 0;
        if (filled) {
            in s = scores + row * S;
            float e[filled], top = -INFINITY, total = 0;
            for (i64 i = 0; i < length; i++) top = s[i] > top ? s[i] : top;
            for (i64 i = 0; i < length; i++) e[i] = exponential((s[i] - top) * scale);
            for (i64 i = 0; i < length; i++) total += e[i];
            float factor = 1.0f / total;
            for (i64 i = 0; i < length; i++) p[i] = narrow(e[i] * factor);
            if (random_bits) {
                const uint16_t *restrict w = random_bits + (pair * T + t) * T;
                for (i64 i = 0; i < length; i++) q[i] = w[i] >= threshold ? narrow(e[i] * factor * keep) : 0;
            }
        }
        memset(p + filled, 0, (S - filled) * 2);
        if (random_bits) memset(q + filled, 0, (S - filled) * 2);
    }
}

void bf16_softmax_gradient(bin softmax, const i64 *restrict starts, const uint16_t *restrict random_bits,
                           i64 threshold, float scale, in grad, bout grad_scores, i64 N, i64 B, i64 h, i64 T, i64 S) {
    float keep = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < B * h * S; row++) {
        i64 t = row % S, pair = row / S, length = real(starts, pair / h, T, N);
        bout o = grad_scores + row * S;
        i64 filled = t < length ? length : 0;
        if (filled) {
            bin p = softmax + row * S;
            in g = grad + row * S;
            float kept[filled], along = 0;
            if (random_bits) {
                const uint16_t *restrict w = random_bits + (pair * T + t) * T;
                for (i64 i = 0; i < length; i++) kept[i] = w[i] >= threshold ? g[i] * keep : 0.0f;
            } else
                memcpy(kept, g, length * sizeof(float));
            for (i64 i = 0; i < length; i++) along += kept[i] * widen(p[i]);
            for (i64 i = 0; i < length; i++) o[i] = narrow((kept[i] - along) * widen(p[i]) * scale);
        }
        memset(o + filled, 0, (S - filled) * 2);
    }
}

/* ---- the span-based dynamic convolution ---- */

/* x (R, C), weight (K, C) */
void bf16_depthwise(bin x, in weight, const i64 *restrict bounds, bout y, i64 N, i64 R, i64 C, i64 K) {
    i64 half = K / 2;
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        i64 from = most(0, begins(bounds, n, N) - n + half), to = least(K, ends(bounds, n, N, N) - n + half);
        for (i64 c = 0; c < C; c += BLOCK) {
            i64 width = least(BLOCK, C - c);
            float sum[BLOCK] = {0};
            for (i64 j = from; j < to; j++) {
                in w = weight + j * C + c;
                bin v = x + (n + j - half) * C + c;
                if (width == BLOCK)
                    for (i64 i = 0; i < BLOCK; i++) sum[i] += w[i] * widen(v[i]);
                else
                    for (i64 i = 0; i < width; i++) sum[i] += w[i] * widen(v[i]);
            }
            for (i64 i = 0; i < width; i++) y[n * C + c + i] = narrow(sum[i]);
        }
    }
    zero_rows(y, N, R, C);
}

/* Add the gradient of x to grad_x (R, C); grad (R, C). */
void bf16_depthwise_gradient(bin grad, in weight, const i64 *restrict bounds, out grad_x, i64 N, i64 R, i64 C, i64 K) {
    i64 half = K / 2;
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        i64 from = most(0, begins(bounds, n, N) - n + half), to = least(K, ends(bounds, n, N, N) - n + half);
        for (i64 c = 0; c < C; c += BLOCK) {
            i64 width = least(BLOCK, C - c);
            float sum[BLOCK] = {0};
            for (i64 j = from; j < to; j++) {
                in w = weight + (K - 1 - j) * C + c;
                bin g = grad + (n + j - half) * C + c;
                if (width == BLOCK)
                    for (i64 i = 0; i < BLOCK; i++) sum[i] += w[i] * widen(g[i]);
                else
                    for (i64 i = 0; i < width; i++) sum[i] += w[i] * widen(g[i]);
            }
            for (i64 i = 0; i < width; i++) grad_x[n * C + c + i] += sum[i];
        }
    }
}

void bf16_depthwise_weight_gradient(bin x, bin grad, const i64 *restrict bounds, out grad_weight, i64 N, i64 R, i64 C,
                                    i64 K) {
    i64 half = K / 2;
#pragma omp parallel for schedule(static)
    for (i64 c = 0; c < C; c += BLOCK) {
        i64 width = least(BLOCK, C - c);
        for (i64 j = 0; j < K; j++) memset(grad_weight + j * C + c, 0, width * sizeof(float));
        for (i64 first = 0, behind; first < N; first = behind) {
            i64 begin = begins(bounds, first, N), end = ends(bounds, first, N, N);
            behind = most(first + 1, least(first + ROWS, end));
            for (i64 j = 0; j < K; j++) {
                i64 from = most(first, begin + half - j), to = least(behind, end + half - j);
                float sum[BLOCK] = {0};
                for (i64 n = from; n < to; n++) {
                    bin g = grad + n * C + c, v = x + (n + j - half) * C + c;
                    if (width == BLOCK)
                        for (i64 i = 0; i < BLOCK; i++) sum[i] += widen(g[i]) * widen(v[i]);
                    else
                        for (i64 i = 0; i < width; i++) sum[i] += widen(g[i]) * widen(v[i]);
                }
                for (i64 i = 0; i < width; i++) grad_weight[j * C + c + i] += sum[i];
            }
        }
    }
}

/* z (R, C) = x (R, C) times the first C columns of y (R, W) */
void bf16_multiply(bin x, bin y, bout z, i64 N, i64 R, i64 C, i64 W) {
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++)
        for (i64 i = 0; i < C; i++) z[n * C + i] = narrow(widen(x[n * C + i]) * widen(y[n * W + i]));
    zero_rows(z, N, R, C);
}

/* grad_x (R, C); the gradient of y is added to the first C columns of grad_y (R, W). */
void bf16_multiply_gradient(bin x, bin y, bin grad, bout grad_x, bout grad_y, i64 N, i64 R, i64 C, i64 W) {
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        bin a = x + n * C, b = y + n * W, g = grad + n * C;
        bout grad_a = grad_x + n * C, grad_b = grad_y + n * W;
        for (i64 i = 0; i < C; i++) {
            grad_a[i] = narrow(widen(g[i]) * widen(b[i]));
            grad_b[i] = narrow(widen(grad_b[i]) + widen(g[i]) * widen(a[i]));
        }
    }
    zero_rows(grad_x, N, R, C);
}

/* kernels (N, h, K), the softmax of scores (R, h*K), weigh the columns of x (R, W) from the from-th; the result is put
 * into the columns of y (R, A + h*d) behind the A-th. */
void bf16_span(bin scores, bin x, const i64 *restrict bounds, out kernels, bout y, i64 from_column, i64 N, i64 R, i64 W,
               i64 h, i64 d, i64 K, i64 A) {
    i64 half = K / 2, Y = A + h * d;
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        i64 from = most(0, begins(bounds, n, N) - n + half), to = least(K, ends(bounds, n, N, N) - n + half);
        for (i64 head = 0; head < h; head++) {
            bin s = scores + (n * h + head) * K;
            out k = kernels + (n * h + head) * K;
            float top = -INFINITY, total = 0;
            for (i64 j = 0; j < K; j++) k[j] = widen(s[j]);
            for (i64 j = 0; j < K; j++) top = k[j] > top ? k[j] : top;
            for (i64 j = 0; j < K; j++) k[j] = exponential(k[j] - top);
            for (i64 j = 0; j < K; j++) total += k[j];
            for (i64 j = 0; j < K; j++) k[j] /= total;
            for (i64 c = 0; c < d; c += NARROW) {
                i64 width = least(NARROW, d - c);
                float sum[NARROW] = {0};
                for (i64 j = from; j < to; j++) {
                    bin v = x + (n + j - half) * W + from_column + head * d + c;
                    if (width == NARROW)
                        for (i64 i = 0; i < NARROW; i++) sum[i] += k[j] * widen(v[i]);
                    else
                        for (i64 i = 0; i < width; i++) sum[i] += k[j] * widen(v[i]);
                }
                for (i64 i = 0; i < width; i++) y[n * Y + A + head * d + c + i] = narrow(sum[i]);
            }
        }
    }
    for (i64 n = N; n < R; n++) memset(y + n * Y + A, 0, h * d * 2);
}

/* grad (R, A + h*d); grad_scores (R, h*K); that of the values is put into the columns of grad_x (R, W). */
void bf16_span_gradient(in kernels, bin x, const i64 *restrict bounds, bin grad, bout grad_scores, bout grad_x,
                        i64 from_column, i64 N, i64 R, i64 W, i64 h, i64 d, i64 K, i64 A) {
    i64 half = K / 2, Y = A + h * d;
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++) {
        i64 begin = begins(bounds, n, N), end = ends(bounds, n, N, N);
        for (i64 head = 0; head < h; head++) {
            in k = kernels + (n * h + head) * K;
            bin g = grad + n * Y + A + head * d;
            bout o = grad_scores + (n * h + head) * K;
            float slopes[K], along = 0;
            for (i64 j = 0; j < K; j++) { /* this token's offset j */
                i64 read = n + j - half;
                float sum = 0;
                if (read >= begin && read < end) {
                    bin v = x + read * W + from_column + head * d;
                    for (i64 i = 0; i < d; i++) sum += widen(g[i]) * widen(v[i]);
                }
                slopes[j] = sum;
            }
            for (i64 j = 0; j < K; j++) along += slopes[j] * k[j];
            for (i64 j = 0; j < K; j++) o[j] = narrow((slopes[j] - along) * k[j]);
            for (i64 c = 0; c < d; c += NARROW) {
                i64 width = least(NARROW, d - c);
                float sum[NARROW] = {0};
                for (i64 j = 0; j < K; j++) { /* whose offset j this token is */
                    i64 reader = n - j + half;
                    if (reader < begin || reader >= end) continue;
                    float weight = kernels[(reader * h + head) * K + j];
                    bin v = grad + reader * Y + A + head * d + c;
                    if (width == NARROW)
                        for (i64 i = 0; i < NARROW; i++) sum[i] += weight * widen(v[i]);
                    else
                        for (i64 i = 0; i < width; i++) sum[i] += weight * widen(v[i]);
                }
                for (i64 i = 0; i < width; i++) grad_x[n * W + from_column + head * d + c + i] = narrow(sum[i]);
            }
        }
    }
    zero_rows(grad_scores, N, R, h * K);
    for (i64 n = N; n < R; n++) memset(grad_x + n * W + from_column, 0, h * d * 2);
}

/* ---- gelu of x (R, C) ---- */

void bf16_gelu(bin x, bout y, i64 N, i64 R, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 n = 0; n < N; n++)
        for (i64 i = n * C; i < n * C + C; i++) {
            float v = widen(x[i]);
            y[i] = narrow(0.5f * v * (1.0f + error_function(v * 0.70710678f)));
        }
    zero_rows(y, N, R, C);
}

/* pieces: (PIECES, C), to hold the sums for the bias. grad becomes the gradient of x. */
void bf16_gelu_gradient(bin x, bout grad, out pieces, out grad_bias, i64 N, i64 R, i64 C) {
#pragma omp parallel for schedule(static)
    for (i64 piece = 0; piece < PIECES; piece++) {
        out sum = pieces + piece * C;
        memset(sum, 0, C * sizeof(float));
        for (i64 n = N * piece / PIECES; n < N * (piece + 1) / PIECES; n++)
            for (i64 i = 0; i < C; i++) {
                float v = widen(x[n * C + i]);
                float density = 0.39894228f * exponential(-0.5f * v * v);
                float slope = 0.5f * (1.0f + error_function(v * 0.70710678f)) + v * density;
                float g = widen(grad[n * C + i]) * slope;
                grad[n * C + i] = narrow(g);
                sum[i] += g;
            }
    }
    zero_rows(grad, N, R, C);
    sum_pieces(pieces, C, grad_bias, C);
}

/* ---- LayerNorm of x + dropout(y + bias), as add_norm in kernels.c: y (R, H); x, z (N, H) ---- */

void bf16_add_norm(in x, bin y, in bias, const uint16_t *restrict random_bits, i64 threshold, in gain, in shift,
                   float epsilon, out normalised, out inverse_deviation, out z, i64 N, i64 R, i64 H) {
    float scale = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 row = 0; row < N; row++) {
        in a = x + row * H;
        bin b = y + row * H;
        out s = normalised + row * H, o = z + row * H;
        if (random_bits) {
            const uint16_t *restrict w = random_bits + row * H;
            for (i64 i = 0; i < H; i++) s[i] = a[i] + (w[i] >= threshold ? (widen(b[i]) + bias[i]) * scale : 0.0f);
        } else
            for (i64 i = 0; i < H; i++) s[i] = a[i] + widen(b[i]) + bias[i];
        float mean = 0, variance = 0;
        for (i64 i = 0; i < H; i++) mean += s[i];
        mean /= (float)H;
        for (i64 i = 0; i < H; i++) variance += (s[i] - mean) * (s[i] - mean);
        float factor = 1.0f / sqrtf(variance / (float)H + epsilon);
        inverse_deviation[row] = factor;
        for (i64 i = 0; i < H; i++) {
            s[i] = (s[i] - mean) * factor;
            o[i] = s[i] * gain[i] + shift[i];
        }
    }
}

/* grad_x (R, H), whose rows behind the N-th are not written; grad_y (R, H); pieces: (PIECES, 3, H). */
void bf16_add_norm_gradient(in normalised, in inverse_deviation, const uint16_t *restrict random_bits, i64 threshold,
                            in gain, in grad, out grad_x, bout grad_y, out pieces, out grad_bias, out grad_gain,
                            out grad_shift, i64 N, i64 R, i64 H) {
    float scale = 65536.0f / (float)(65536 - threshold);
#pragma omp parallel for schedule(static)
    for (i64 piece = 0; piece < PIECES; piece++) {
        out bias = pieces + piece * 3 * H, gains = bias + H, shifts = gains + H;
        memset(bias, 0, 3 * H * sizeof(float));
        for (i64 row = N * piece / PIECES; row < N * (piece + 1) / PIECES; row++) {
            in n = normalised + row * H, g = grad + row * H;
            out a = grad_x + row * H;
            bout b = grad_y + row * H;
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
            const uint16_t *restrict w = random_bits ? random_bits + row * H : 0;
            if (w)
                for (i64 i = 0; i < H; i++) {
                    float v = w[i] >= threshold ? a[i] * scale : 0.0f;
                    b[i] = narrow(v);
                    bias[i] += v;
                }
            else
                for (i64 i = 0; i < H; i++) {
                    b[i] = narrow(a[i]);
                    bias[i] += a[i];
                }
        }
    }
    zero_rows(grad_y, N, R, H);
    sum_pieces(pieces, 3 * H, grad_bias, H);
    sum_pieces(pieces + H, 3 * H, grad_gain, H);
    sum_pieces(pieces + 2 * H, 3 * H, grad_shift, H);
}
