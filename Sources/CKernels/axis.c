#include "axis.h"
#include "vector_math.h"

// Columns are taken in blocks that fill a few vector registers and one cache line of doubles after another.
#define BLOCK 64

#define ROW(initial, combine)                                                             \
  { double lanes[8];                                                                      \
    for (size_t l = 0; l < 8; l++) lanes[l] = (initial);                                  \
    size_t whole = width & ~(size_t)7;                                                    \
    for (size_t i = 0; i < whole; i += 8)                                                 \
      for (size_t l = 0; l < 8; l++) { double s = lanes[l], v = x[i + l]; lanes[l] = (combine); } \
    for (size_t i = whole; i < width; i++) { double s = lanes[i - whole], v = x[i]; lanes[i - whole] = (combine); } \
    double t = lanes[0];                                                                  \
    for (size_t l = 1; l < 8; l++) { double s = t, v = lanes[l]; t = (JOIN); }            \
    y[0] = (float)t; return; }

#define COLUMNS(initial, combine)                                                         \
  for (size_t c0 = first; c0 < last; c0 += BLOCK) {                                       \
    size_t n = last - c0 < BLOCK ? last - c0 : BLOCK;                                     \
    double sums[BLOCK];                                                                   \
    for (size_t c = 0; c < n; c++) sums[c] = (initial);                                   \
    for (size_t i = 0; i < width; i++)                                                    \
      for (size_t c = 0; c < n; c++) { double s = sums[c], v = x[i * inner + c0 + c]; sums[c] = (combine); } \
    for (size_t c = 0; c < n; c++) y[c0 + c] = (float)sums[c];                            \
  }                                                                                       \
  return;

#define REDUCTION(name, initial, combine)                                                 \
  SD_CLONES static void name(const float *x, size_t width, size_t inner, size_t first, size_t last, float *y) { \
    if (inner == 1) ROW(initial, combine)                                                 \
    COLUMNS(initial, combine)                                                             \
  }

#define JOIN s + v
REDUCTION(sum, 0.0, s + v)
REDUCTION(sum_of_squares, 0.0, s + v * v)
REDUCTION(sum_of_magnitudes, 0.0, s + (v < 0 ? -v : v))
#undef JOIN
#define JOIN s * v
REDUCTION(product, 1.0, s * v)
#undef JOIN
// What is no number stays.
#define JOIN s > v || s != s ? s : v
REDUCTION(maximum, -INFINITY, s > v || s != s ? s : v)
#undef JOIN
#define JOIN s < v || s != s ? s : v
REDUCTION(minimum, INFINITY, s < v || s != s ? s : v)

void sd_reduce_axis(sd_reduction reduction, const float *x, size_t width, size_t inner, size_t first, size_t last,
                    float *y) {
  switch (reduction) {
    case SD_SUM: sum(x, width, inner, first, last, y); break;
    case SD_MAX: maximum(x, width, inner, first, last, y); break;
    case SD_MIN: minimum(x, width, inner, first, last, y); break;
    case SD_PRODUCT: product(x, width, inner, first, last, y); break;
    case SD_SUM_OF_SQUARES: sum_of_squares(x, width, inner, first, last, y); break;
    case SD_SUM_OF_MAGNITUDES: sum_of_magnitudes(x, width, inner, first, last, y); break;
  }
}

SD_CLONES void sd_softmax_axis(const float *x, size_t width, size_t inner, size_t first, size_t last, float *y) {
  for (size_t c0 = first; c0 < last; c0 += BLOCK) {
    size_t n = last - c0 < BLOCK ? last - c0 : BLOCK;
    float m[BLOCK], s[BLOCK];
    for (size_t c = 0; c < n; c++) { m[c] = -INFINITY; s[c] = 0; }
    for (size_t i = 0; i < width; i++)
      for (size_t c = 0; c < n; c++) { float v = x[i * inner + c0 + c]; m[c] = v > m[c] ? v : m[c]; }
    for (size_t c = 0; c < n; c++) m[c] = m[c] == -INFINITY ? 0 : m[c];
    for (size_t i = 0; i < width; i++)
      for (size_t c = 0; c < n; c++) {
        float v = x[i * inner + c0 + c];
        float e = v == -INFINITY ? 0 : sd_expf(v - m[c]);
        y[i * inner + c0 + c] = e;
        s[c] += e;
      }
    for (size_t c = 0; c < n; c++) s[c] = s[c] == 0 ? 0 : 1.0f / s[c];
    for (size_t i = 0; i < width; i++)
      for (size_t c = 0; c < n; c++) y[i * inner + c0 + c] *= s[c];
  }
}

SD_CLONES void sd_normalize_axis(const float *x, size_t width, size_t inner, size_t first, size_t last,
                                 const float *weight, const float *bias, float epsilon, float *y) {
  for (size_t c0 = first; c0 < last; c0 += BLOCK) {
    size_t n = last - c0 < BLOCK ? last - c0 : BLOCK;
    double mean[BLOCK] = {0}, square[BLOCK] = {0};
    for (size_t i = 0; i < width; i++)
      for (size_t c = 0; c < n; c++) mean[c] += x[i * inner + c0 + c];
    for (size_t c = 0; c < n; c++) mean[c] /= (double)width;
    for (size_t i = 0; i < width; i++)
      for (size_t c = 0; c < n; c++) { double d = x[i * inner + c0 + c] - mean[c]; square[c] += d * d; }
    float m[BLOCK], r[BLOCK];
    for (size_t c = 0; c < n; c++) {
      m[c] = (float)mean[c];
      r[c] = (float)(1.0 / sqrt(square[c] / (double)width + epsilon));
    }
    for (size_t i = 0; i < width; i++) {
      float w = weight ? weight[i] : 1, b = bias ? bias[i] : 0;
      for (size_t c = 0; c < n; c++) y[i * inner + c0 + c] = (x[i * inner + c0 + c] - m[c]) * r[c] * w + b;
    }
  }
}
