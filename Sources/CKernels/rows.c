#include "rows.h"
#include "vector_math.h"

SD_INLINE float row_maximum(const float *x, size_t width) {
  float lanes[16];
  for (size_t l = 0; l < 16; l++) lanes[l] = -INFINITY;
  size_t whole = width & ~(size_t)15;
  for (size_t i = 0; i < whole; i += 16)
    for (size_t l = 0; l < 16; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  for (size_t i = whole; i < width; i++) lanes[i - whole] = x[i] > lanes[i - whole] ? x[i] : lanes[i - whole];
  float m = lanes[0];
  for (size_t l = 1; l < 16; l++) m = lanes[l] > m ? lanes[l] : m;
  return m;
}

SD_INLINE float row_sum(const float *x, size_t width) {
  float lanes[16] = {0};
  size_t whole = width & ~(size_t)15;
  for (size_t i = 0; i < whole; i += 16)
    for (size_t l = 0; l < 16; l++) lanes[l] += x[i + l];
  for (size_t i = whole; i < width; i++) lanes[i - whole] += x[i];
  double s = 0;
  for (size_t l = 0; l < 16; l++) s += lanes[l];
  return (float)s;
}

// The sum of x (y - origin).
SD_INLINE float row_product(const float *x, const float *y, float origin, size_t width) {
  float lanes[16] = {0};
  size_t whole = width & ~(size_t)15;
  for (size_t i = 0; i < whole; i += 16)
    for (size_t l = 0; l < 16; l++) lanes[l] += x[i + l] * (y[i + l] - origin);
  for (size_t i = whole; i < width; i++) lanes[i - whole] += x[i] * (y[i] - origin);
  double s = 0;
  for (size_t l = 0; l < 16; l++) s += lanes[l];
  return (float)s;
}

SD_CLONES void sd_softmax(float *x, size_t rows, size_t width, size_t stride, float scale) {
  for (size_t row = 0; row < rows; row++) {
    float *v = x + row * stride;
    // A row of nothing but -inf (everything masked) would give NaN; it becomes a row of zeros over a sum of one.
    float m = row_maximum(v, width) * scale;
    m = m == -INFINITY ? 0 : m;
    for (size_t i = 0; i < width; i++) v[i] = v[i] == -INFINITY ? 0 : sd_expf(v[i] * scale - m);
    float sum = row_sum(v, width);
    float inverse = sum == 0 ? 0 : 1.0f / sum;
    for (size_t i = 0; i < width; i++) v[i] *= inverse;
  }
}

SD_CLONES void sd_softmax_gradient(const float *y, const float *dy, float *dx, size_t rows, size_t width, float scale) {
  for (size_t row = 0; row < rows; row++) {
    const float *p = y + row * width, *d = dy + row * width;
    float *o = dx + row * width, s = row_product(p, d, 0, width);
    for (size_t i = 0; i < width; i++) o[i] = scale * p[i] * (d[i] - s);
  }
}

SD_CLONES void sd_layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *y,
                             float *mean, float *rstd, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; row++) {
    const float *v = x + row * width;
    float *o = y + row * width;
    float m = row_sum(v, width) / (float)width;
    for (size_t i = 0; i < width; i++) o[i] = v[i] - m;
    float r = 1.0f / sqrtf(row_product(o, o, 0, width) / (float)width + epsilon);
    for (size_t i = 0; i < width; i++) o[i] *= r;
    if (weight) for (size_t i = 0; i < width; i++) o[i] *= weight[i];
    if (bias) for (size_t i = 0; i < width; i++) o[i] += bias[i];
    if (mean) mean[row] = m;
    if (rstd) rstd[row] = r;
  }
}

SD_CLONES void sd_layer_norm_gradient(const float *x, const float *weight, const float *dy, const float *mean,
                                      const float *rstd, float *restrict dx, double *restrict dweight,
                                      double *restrict dbias, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; row++) {
    const float *v = x + row * width, *d = dy + row * width;
    float *o = dx + row * width, m = mean[row], r = rstd[row];
    if (dweight) for (size_t i = 0; i < width; i++) dweight[i] += d[i] * (v[i] - m) * r;
    if (dbias) for (size_t i = 0; i < width; i++) dbias[i] += d[i];
    for (size_t i = 0; i < width; i++) o[i] = weight ? d[i] * weight[i] : d[i];
    float s = row_sum(o, width) / (float)width;
    float p = row_product(o, v, m, width) / (float)width * r * r;
    for (size_t i = 0; i < width; i++) o[i] = r * (o[i] - s - (v[i] - m) * p);
  }
}

// Channel sums run over blocks of rows in float, then add to the doubles: fast, and exact enough for any height × width.
#define BLOCK 8
SD_CLONES void sd_channel_moments(const float *x, const float *origin, size_t rows, size_t channels,
                                  double *restrict sum, double *restrict square) {
  for (size_t c0 = 0; c0 < channels; c0 += 64) {
    size_t n = channels - c0 < 64 ? channels - c0 : 64;
    for (size_t r0 = 0; r0 < rows; r0 += BLOCK) {
      size_t r1 = r0 + BLOCK < rows ? r0 + BLOCK : rows;
      float s[64] = {0}, q[64] = {0};
      for (size_t r = r0; r < r1; r++) {
        const float *v = x + r * channels + c0;
        for (size_t c = 0; c < n; c++) {
          float e = v[c] - origin[c0 + c];
          s[c] += e;
          q[c] += e * e;
        }
      }
      for (size_t c = 0; c < n; c++) { sum[c0 + c] += s[c]; square[c0 + c] += q[c]; }
    }
  }
}

SD_CLONES void sd_channel_affine(const float *restrict x, const float *restrict mean, const float *restrict scale,
                                 const float *restrict bias, float *restrict y, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < channels; c++) y[r * channels + c] = (x[r * channels + c] - mean[c]) * scale[c] + bias[c];
}

SD_CLONES void sd_channel_products(const float *x, const float *mean, const float *dy, size_t rows, size_t channels,
                                   double *restrict sum_dy, double *restrict sum_dy_x) {
  for (size_t c0 = 0; c0 < channels; c0 += 64) {
    size_t n = channels - c0 < 64 ? channels - c0 : 64;
    for (size_t r0 = 0; r0 < rows; r0 += BLOCK) {
      size_t r1 = r0 + BLOCK < rows ? r0 + BLOCK : rows;
      float s[64] = {0}, q[64] = {0};
      for (size_t r = r0; r < r1; r++) {
        const float *v = x + r * channels + c0, *d = dy + r * channels + c0;
        for (size_t c = 0; c < n; c++) { s[c] += d[c]; q[c] += d[c] * (v[c] - mean[c0 + c]); }
      }
      for (size_t c = 0; c < n; c++) { sum_dy[c0 + c] += s[c]; sum_dy_x[c0 + c] += q[c]; }
    }
  }
}

SD_CLONES void sd_channel_combine(const float *restrict x, const float *restrict mean, const float *restrict dy,
                                  const float *restrict a, const float *restrict b, const float *restrict c,
                                  float *restrict dx, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < channels; i++) {
      size_t at = r * channels + i;
      dx[at] = a[i] * dy[at] + b[i] * (x[at] - mean[i]) + c[i];
    }
}

SD_CLONES void sd_column_sums(const float *x, size_t rows, size_t width, double *restrict y) {
  for (size_t c0 = 0; c0 < width; c0 += 64) {
    size_t n = width - c0 < 64 ? width - c0 : 64;
    for (size_t r0 = 0; r0 < rows; r0 += BLOCK) {
      size_t r1 = r0 + BLOCK < rows ? r0 + BLOCK : rows;
      float s[64] = {0};
      for (size_t r = r0; r < r1; r++)
        for (size_t c = 0; c < n; c++) s[c] += x[r * width + c0 + c];
      for (size_t c = 0; c < n; c++) y[c0 + c] += s[c];
    }
  }
}

SD_CLONES void sd_add_to_rows(float *restrict x, const float *restrict bias, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < width; c++) x[r * width + c] += bias[c];
}

SD_CLONES void sd_channel_affine_silu(const float *restrict x, const float *restrict mean,
                                      const float *restrict scale, const float *restrict bias, float *restrict y,
                                      size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < channels; c++) {
      float z = (x[r * channels + c] - mean[c]) * scale[c] + bias[c];
      y[r * channels + c] = z * sd_sigmoidf(z);
    }
}

SD_CLONES void sd_channel_silu_gradient(const float *restrict x, const float *restrict mean,
                                        const float *restrict scale, const float *restrict bias,
                                        const float *restrict dy, float *restrict dz, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < channels; c++) {
      size_t at = r * channels + c;
      float z = (x[at] - mean[c]) * scale[c] + bias[c], s = sd_sigmoidf(z);
      dz[at] = dy[at] * s * (1.0f + z * (1.0f - s));
    }
}
