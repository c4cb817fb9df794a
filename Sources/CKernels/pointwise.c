#include "pointwise.h"
#include "clones.h"
#include <math.h>

#define MAP(name, expression)                                                                  \
  SD_CLONES static void map_##name(const float *restrict x, float a, float b, float *restrict y, size_t count) { \
    (void)a; (void)b;                                                                          \
    for (size_t i = 0; i < count; i++) { float v = x[i]; y[i] = (expression); }                \
  }
MAP(ABS, fabsf(v))
MAP(SIGN, v != v ? v : (float)((v > 0) - (v < 0)))
MAP(CEIL, ceilf(v))
MAP(FLOOR, floorf(v))
MAP(ROUND, nearbyintf(v))
MAP(EXP2, exp2f(v))
MAP(SIN, sinf(v))
MAP(COS, cosf(v))
MAP(TAN, tanf(v))
MAP(ASIN, asinf(v))
MAP(ACOS, acosf(v))
MAP(ATAN, atanf(v))
MAP(SINH, sinhf(v))
MAP(COSH, coshf(v))
MAP(ATANH, atanhf(v))
MAP(SQRT, __builtin_elementwise_sqrt(v))
MAP(SQUARE, v * v)
MAP(RSQRT, 1.0f / __builtin_elementwise_sqrt(v + a))
MAP(INVERSE, 1.0f / (v + a))
MAP(LOG, logf(v + a))
MAP(CLIP, v < a ? a : v > b ? b : v)

void sd_map(sd_map_function function, const float *x, float a, float b, float *y, size_t count) {
  switch (function) {
#define CASE(name) case SD_MAP_##name: map_##name(x, a, b, y, count); break;
    CASE(ABS) CASE(SIGN) CASE(CEIL) CASE(FLOOR) CASE(ROUND) CASE(EXP2) CASE(SIN) CASE(COS) CASE(TAN) CASE(ASIN)
    CASE(ACOS) CASE(ATAN) CASE(SINH) CASE(COSH) CASE(ATANH) CASE(SQRT) CASE(SQUARE) CASE(RSQRT) CASE(INVERSE)
    CASE(LOG) CASE(CLIP)
#undef CASE
  }
}

// As numpy has them: the remainder is exact and has the sign of v, the quotient goes with it.
SD_INLINE float remainder_of(float u, float v) {
  float rest = fmodf(u, v);
  return rest != 0 && (rest < 0) != (v < 0) ? rest + v : rest;
}
SD_INLINE float quotient(float u, float v) {
  if (v == 0 || u != u || v != v || u - u != 0) return floorf(u / v);
  float rest = fmodf(u, v), whole = (u - rest) / v;
  return roundf(rest != 0 && (rest < 0) != (v < 0) ? whole - 1 : whole);
}

// Three loops for the three ways in which an operand repeats, so that each vectorizes.
#define COMBINE(name, expression)                                                              \
  SD_CLONES static void combine_##name(const float *x, size_t x_step, const float *y, size_t y_step, \
                                       float *restrict z, size_t count) {                      \
    if (x_step && y_step) for (size_t i = 0; i < count; i++) { float u = x[i], v = y[i]; z[i] = (expression); } \
    else if (x_step) { float v = y[0]; for (size_t i = 0; i < count; i++) { float u = x[i]; z[i] = (expression); } } \
    else if (y_step) { float u = x[0]; for (size_t i = 0; i < count; i++) { float v = y[i]; z[i] = (expression); } } \
    else { float u = x[0], v = y[0]; for (size_t i = 0; i < count; i++) z[i] = (expression); } \
  }
COMBINE(ADD, u + v)
COMBINE(SUBTRACT, u - v)
COMBINE(MULTIPLY, u * v)
COMBINE(DIVIDE, u / v)
COMBINE(MAXIMUM, u > v || u != u ? u : v)
COMBINE(MINIMUM, u < v || u != u ? u : v)
COMBINE(POWER, powf(u, v))
COMBINE(FLOOR_DIVIDE, quotient(u, v))
COMBINE(MODULO, remainder_of(u, v))

void sd_combine(sd_binary_function function, const float *x, size_t x_step, const float *y, size_t y_step, float *z,
                size_t count) {
  switch (function) {
#define CASE(name) case SD_##name: combine_##name(x, x_step, y, y_step, z, count); break;
    CASE(ADD) CASE(SUBTRACT) CASE(MULTIPLY) CASE(DIVIDE) CASE(MAXIMUM) CASE(MINIMUM) CASE(POWER) CASE(FLOOR_DIVIDE)
    CASE(MODULO)
#undef CASE
  }
}
