// exp and erf as branch-free polynomials that clang vectorizes inside `SD_CLONES` functions.
#pragma once
#include "clones.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

// exp(x) = 2^n exp(r), r = x - n ln 2 in two parts; degree 6 for exp(r), relative error below 2e-7.
SD_INLINE float sd_expf(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  float n = x * 1.44269504f + 12582912.0f;  // adding 1.5 * 2^23 rounds to the nearest integer
  n -= 12582912.0f;
  float r = x - n * 0.693359375f;
  r += n * 2.12194440e-4f;
  float p = 0.001395047869193724f;
  p = p * r + 0.00836888224889171f;
  p = p * r + 0.04166620598825055f;
  p = p * r + 0.1666651889865352f;
  p = p * r + 0.5000000095127729f;
  p = p * r * r + r + 1.0f;
  int32_t bits = ((int32_t)n + 127) << 23;
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

SD_INLINE float sd_sigmoidf(float x) { return 1.0f / (1.0f + sd_expf(-x)); }
SD_INLINE float sd_tanhf(float x) {
  // For small |x| the quotient cancels: x (1 - x²/3 + 2x⁴/15) is exact to 1e-7 below 0.1.
  float s = x * x;
  float series = x * (1.0f - s * (0.33333333f - s * (0.13333333f - s * 0.05396825f)));
  float ratio = 1.0f - 2.0f / (1.0f + sd_expf(2.0f * x));
  return s < 0.01f ? series : ratio;
}

// erf(|x|) = 1 - exp(-x²) t P(t), t = 1 / (1 + 0.4 |x|); P fitted to 3.4e-10, so float rounding decides.
SD_INLINE float sd_erf_from(float x, float exp_minus_square) {
  float a = x < 0 ? -x : x;
  float t = 1.0f / (1.0f + 0.4f * a);
  float p = 0.0739330685f;
  p = p * t + -0.3878828629f;
  p = p * t + 0.6582646456f;
  p = p * t + -0.3272612681f;
  p = p * t + 0.3633579861f;
  p = p * t + 0.1646072430f;
  p = p * t + 0.2291471388f;
  p = p * t + 0.2258340492f;
  float y = 1.0f - exp_minus_square * t * p;
  return x < 0 ? -y : y;
}
SD_INLINE float sd_erff(float x) { return sd_erf_from(x, sd_expf(-x * x)); }
