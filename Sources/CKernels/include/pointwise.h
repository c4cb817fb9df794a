// Functions of one and two numbers that programs of a package use, beyond those of elementwise.h.
#pragma once
#include <stddef.h>

typedef enum {
  SD_MAP_ABS, SD_MAP_SIGN, SD_MAP_CEIL, SD_MAP_FLOOR, SD_MAP_ROUND, SD_MAP_EXP2, SD_MAP_SIN, SD_MAP_COS, SD_MAP_TAN,
  SD_MAP_ASIN, SD_MAP_ACOS, SD_MAP_ATAN, SD_MAP_SINH, SD_MAP_COSH, SD_MAP_ATANH,
  SD_MAP_SQRT, SD_MAP_SQUARE, SD_MAP_RSQRT, SD_MAP_INVERSE, SD_MAP_LOG, SD_MAP_CLIP
} sd_map_function;

/// y[i] = f(x[i]); `a` is the epsilon or lower bound, `b` the upper bound, where the function has one.
void sd_map(sd_map_function function, const float *x, float a, float b, float *y, size_t count);

typedef enum {
  SD_ADD, SD_SUBTRACT, SD_MULTIPLY, SD_DIVIDE, SD_MAXIMUM, SD_MINIMUM, SD_POWER, SD_FLOOR_DIVIDE, SD_MODULO
} sd_binary_function;

/// z[i] = f(x[i * x_step], y[i * y_step]), steps 0 or 1.
void sd_combine(sd_binary_function function, const float *x, size_t x_step, const float *y, size_t y_step, float *z,
                size_t count);
