#include "optimizer.h"
#include "clones.h"
#include <math.h>
#include <string.h>

SD_INLINE uint32_t bits_of(float x) { uint32_t bits; memcpy(&bits, &x, sizeof bits); return bits; }
SD_INLINE float float_of(uint32_t bits) { float x; memcpy(&x, &bits, sizeof x); return x; }

// Ellis's "lowbias32": a mixing of 32 bits in six operations that vectorize.
SD_INLINE uint32_t mixed(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

// Moves parameter and moments of one element.
#define STEP(o, parameter, m, v, g)                                     \
  float scaled = (g) * (o).gradient_scale;                              \
  m = (o).beta1 * m + (1.0f - (o).beta1) * scaled;                      \
  v = (o).beta2 * v + (1.0f - (o).beta2) * scaled * scaled;             \
  parameter = parameter * keep - step * m / (__builtin_elementwise_sqrt(v) * root + (o).epsilon);

#define CONSTANTS(o)                                                    \
  float keep = 1.0f - (o).learning_rate * (o).weight_decay;             \
  float step = (o).learning_rate / (o).correction1;                     \
  float root = 1.0f / sqrtf((o).correction2);

SD_CLONES void sd_adamw_step(float *restrict parameter, float *restrict mean, float *restrict variance,
                             const float *restrict gradient, sd_adamw o, size_t count) {
  CONSTANTS(o)
  for (size_t i = 0; i < count; i++) {
    float p = parameter[i], m = mean[i], v = variance[i];
    STEP(o, p, m, v, gradient[i])
    mean[i] = m;
    variance[i] = v;
    parameter[i] = p;
  }
}

SD_CLONES void sd_adamw_step_bfloat(float *restrict parameter, uint16_t *restrict mean, uint16_t *restrict variance,
                                    const float *restrict gradient, sd_adamw o, size_t first, size_t count) {
  CONSTANTS(o)
  for (size_t i = 0; i < count; i++) {
    float p = parameter[i], m = float_of((uint32_t)mean[i] << 16), v = float_of((uint32_t)variance[i] << 16);
    STEP(o, p, m, v, gradient[i])
    uint32_t random = mixed((uint32_t)(first + i) ^ o.seed);
    mean[i] = (uint16_t)((bits_of(m) + (random & 0xffffu)) >> 16);
    variance[i] = (uint16_t)((bits_of(v) + (random >> 16)) >> 16);
    parameter[i] = p;
  }
}

// A magnitude of at most 1 in `exponents` and 3 bits of mantissa, 0 for less than they reach: the upper bits of a float
// behind random ones below them.
#define BIAS(exponents) ((127u - ((1u << (exponents)) - 1u)) << 3)
SD_INLINE uint32_t coded(float x, uint32_t random, uint32_t bias) {
  uint32_t code = (bits_of(x) + (random & 0xfffffu)) >> 20;
  return code > bias ? code - bias : 0;
}
SD_INLINE float decoded(uint32_t code, uint32_t bias) { return code ? float_of((code + bias) << 20) : 0.0f; }

SD_INLINE float largest(const float *x, size_t count) {
  float lanes[16] = {0};
  for (size_t i = 0; i < SD_MOMENT_BLOCK; i += 16)
    for (size_t l = 0; l < 16; l++) {
      float a = i + l < count ? fabsf(x[i + l]) : 0.0f;
      lanes[l] = a > lanes[l] ? a : lanes[l];
    }
  float m = 0;
  for (size_t l = 0; l < 16; l++) m = lanes[l] > m ? lanes[l] : m;
  return m;
}

SD_CLONES void sd_adamw_step_bytes(float *restrict parameter, uint8_t *restrict mean, uint8_t *restrict variance,
                                   float *restrict mean_scales, float *restrict variance_scales,
                                   const float *restrict gradient, sd_adamw o, size_t first, size_t count) {
  CONSTANTS(o)
  float means[SD_MOMENT_BLOCK], variances[SD_MOMENT_BLOCK];
  for (size_t start = 0; start < count; start += SD_MOMENT_BLOCK) {
    size_t n = count - start < SD_MOMENT_BLOCK ? count - start : SD_MOMENT_BLOCK, block = start / SD_MOMENT_BLOCK;
    float mean_scale = mean_scales[block], variance_scale = variance_scales[block];
    for (size_t j = 0; j < n; j++) {
      size_t i = start + j;
      float magnitude = decoded(mean[i] & 127u, BIAS(4)) * mean_scale;
      float p = parameter[i], m = mean[i] & 128u ? -magnitude : magnitude;
      float v = decoded(variance[i], BIAS(5)) * variance_scale;
      STEP(o, p, m, v, gradient[i])
      means[j] = m;
      variances[j] = v;
      parameter[i] = p;
    }
    mean_scale = largest(means, n);
    variance_scale = largest(variances, n);
    mean_scales[block] = mean_scale;
    variance_scales[block] = variance_scale;
    float to_mean = mean_scale > 0 ? 1.0f / mean_scale : 0.0f;
    float to_variance = variance_scale > 0 ? 1.0f / variance_scale : 0.0f;
    for (size_t j = 0; j < n; j++) {
      size_t i = start + j;
      uint32_t random = mixed((uint32_t)(first + i) ^ o.seed);
      mean[i] = (uint8_t)(coded(fabsf(means[j]) * to_mean, random, BIAS(4)) | (means[j] < 0 ? 128u : 0u));
      // A variance that is not zero must not become zero, or the next step divides by epsilon alone.
      uint32_t code = coded(variances[j] * to_variance, random >> 12, BIAS(5));
      variance[i] = (uint8_t)(code == 0 && variances[j] > 0 ? 1u : code);
    }
  }
}
