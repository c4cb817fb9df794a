#include "elementwise.h"
#include "vector_math.h"

#define MAP(name, expression)                                                    \
  SD_CLONES static void name(const float *restrict x, float *restrict y, size_t count) { \
    for (size_t i = 0; i < count; i++) { float v = x[i]; y[i] = (expression); }  \
  }
#define GRADIENT(name, body)                                                     \
  SD_CLONES static void name(const float *restrict x, const float *restrict dy,  \
                             float *restrict dx, size_t count) {                 \
    for (size_t i = 0; i < count; i++) { float v = x[i]; float d; body; dx[i] = dy[i] * d; } \
  }

#define SQRT_2_OVER_PI 0.7978845608f
#define INVERSE_SQRT_2_PI 0.3989422804f
#define INVERSE_SQRT_2 0.7071067812f

MAP(silu, v * sd_sigmoidf(v))
GRADIENT(silu_gradient, float s = sd_sigmoidf(v); d = s * (1.0f + v * (1.0f - s)))

MAP(gelu_erf, 0.5f * v * (1.0f + sd_erff(v * INVERSE_SQRT_2)))
GRADIENT(gelu_erf_gradient, float e = sd_expf(-0.5f * v * v);
         d = 0.5f * (1.0f + sd_erf_from(v * INVERSE_SQRT_2, e)) + v * e * INVERSE_SQRT_2_PI)

MAP(gelu_tanh, 0.5f * v * (1.0f + sd_tanhf(SQRT_2_OVER_PI * (v + 0.044715f * v * v * v))))
GRADIENT(gelu_tanh_gradient, float t = sd_tanhf(SQRT_2_OVER_PI * (v + 0.044715f * v * v * v));
         d = 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * SQRT_2_OVER_PI * (1.0f + 0.134145f * v * v))

MAP(gelu_quick, v * sd_sigmoidf(1.702f * v))
GRADIENT(gelu_quick_gradient, float s = sd_sigmoidf(1.702f * v); d = s * (1.0f + 1.702f * v * (1.0f - s)))

MAP(sigmoid, sd_sigmoidf(v))
GRADIENT(sigmoid_gradient, float s = sd_sigmoidf(v); d = s * (1.0f - s))

MAP(hyperbolic_tangent, sd_tanhf(v))
GRADIENT(hyperbolic_tangent_gradient, float t = sd_tanhf(v); d = 1.0f - t * t)

MAP(relu, v < 0 ? 0 : v)
GRADIENT(relu_gradient, d = v > 0 ? 1.0f : 0.0f)

MAP(exponential, sd_expf(v))
MAP(error_function, sd_erff(v))

void sd_apply(sd_function function, const float *x, float *y, size_t count) {
  switch (function) {
    case SD_SILU: silu(x, y, count); break;
    case SD_GELU_ERF: gelu_erf(x, y, count); break;
    case SD_GELU_TANH: gelu_tanh(x, y, count); break;
    case SD_GELU_QUICK: gelu_quick(x, y, count); break;
    case SD_SIGMOID: sigmoid(x, y, count); break;
    case SD_TANH: hyperbolic_tangent(x, y, count); break;
    case SD_RELU: relu(x, y, count); break;
    case SD_EXP: exponential(x, y, count); break;
    case SD_ERF: error_function(x, y, count); break;
  }
}

void sd_apply_gradient(sd_function function, const float *x, const float *dy, float *dx, size_t count) {
  switch (function) {
    case SD_SILU: silu_gradient(x, dy, dx, count); break;
    case SD_GELU_ERF: gelu_erf_gradient(x, dy, dx, count); break;
    case SD_GELU_TANH: gelu_tanh_gradient(x, dy, dx, count); break;
    case SD_GELU_QUICK: gelu_quick_gradient(x, dy, dx, count); break;
    case SD_SIGMOID: sigmoid_gradient(x, dy, dx, count); break;
    case SD_TANH: hyperbolic_tangent_gradient(x, dy, dx, count); break;
    case SD_RELU: relu_gradient(x, dy, dx, count); break;
    case SD_EXP: case SD_ERF: __builtin_trap();
  }
}

SD_CLONES void sd_add(const float *x, const float *y, float *z, size_t count) {
  for (size_t i = 0; i < count; i++) z[i] = x[i] + y[i];
}
SD_CLONES void sd_subtract(const float *x, const float *y, float *z, size_t count) {
  for (size_t i = 0; i < count; i++) z[i] = x[i] - y[i];
}
SD_CLONES void sd_multiply(const float *x, const float *y, float *z, size_t count) {
  for (size_t i = 0; i < count; i++) z[i] = x[i] * y[i];
}
SD_CLONES void sd_scale(const float *x, float factor, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] * factor;
}
SD_CLONES void sd_accumulate(const float *restrict x, float factor, float *restrict y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] += factor * x[i];
}

// Reductions keep eight double lanes, so that they vectorize and do not depend on the instruction set.
#define REDUCE(term)                                                  \
  double lanes[8] = {0};                                              \
  size_t whole = count & ~(size_t)7;                                  \
  for (size_t i = 0; i < whole; i += 8)                               \
    for (size_t l = 0; l < 8; l++) { size_t at = i + l; lanes[l] += (term); } \
  for (size_t at = whole; at < count; at++) lanes[at - whole] += (term); \
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));

SD_CLONES double sd_sum(const float *x, size_t count) { REDUCE((double)x[at]) }
SD_CLONES double sd_sum_of_squares(const float *x, size_t count) { REDUCE((double)x[at] * (double)x[at]) }
SD_CLONES double sd_sum_of_squared_differences(const float *x, const float *y, size_t count) {
  REDUCE(((double)x[at] - (double)y[at]) * ((double)x[at] - (double)y[at]))
}

// The sum of (x - origin)² in double precision.
SD_CLONES double sd_sum_of_squares_about(const float *x, float origin, size_t count) {
  double total = 0;
  // Short runs in float, added up in double: fast, and exact enough for any count.
  for (size_t start = 0; start < count; start += 1024) {
    size_t end = start + 1024 < count ? start + 1024 : count, whole = start + ((end - start) & ~(size_t)15);
    float lanes[16] = {0};
    for (size_t i = start; i < whole; i += 16)
      for (size_t l = 0; l < 16; l++) { float e = x[i + l] - origin; lanes[l] += e * e; }
    for (size_t i = whole; i < end; i++) { float e = x[i] - origin; lanes[i - whole] += e * e; }
    for (size_t l = 0; l < 16; l++) total += lanes[l];
  }
  return total;
}

// `y` may be `x` itself.
SD_CLONES void sd_shift_scale(const float *x, float origin, float scale, float shift, float *y, size_t count) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < count; i++) y[i] = (x[i] - origin) * scale + shift;
}

SD_CLONES void sd_shift_scale_silu(const float *x, float origin, float scale, float shift, float *y, size_t count) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < count; i++) {
    float z = (x[i] - origin) * scale + shift;
    y[i] = z * sd_sigmoidf(z);
  }
}

SD_CLONES void sd_geglu(const float *restrict x, float *restrict y, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; row++) {
    const float *value = x + row * 2 * width, *gate = value + width;
    float *out = y + row * width;
    for (size_t i = 0; i < width; i++)
      out[i] = value[i] * 0.5f * gate[i] * (1.0f + sd_erff(gate[i] * INVERSE_SQRT_2));
  }
}

SD_CLONES void sd_geglu_gradient(const float *restrict x, const float *restrict dy, float *restrict dx,
                                 size_t rows, size_t width) {
  for (size_t row = 0; row < rows; row++) {
    const float *value = x + row * 2 * width, *gate = value + width, *d = dy + row * width;
    float *dvalue = dx + row * 2 * width, *dgate = dvalue + width;
    for (size_t i = 0; i < width; i++) {
      float g = gate[i], e = sd_expf(-0.5f * g * g);
      float cdf = 0.5f * (1.0f + sd_erf_from(g * INVERSE_SQRT_2, e));
      dvalue[i] = d[i] * g * cdf;
      dgate[i] = d[i] * value[i] * (cdf + g * e * INVERSE_SQRT_2_PI);
    }
  }
}
