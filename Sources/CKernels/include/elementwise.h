// Element-wise functions and their derivatives: y[i] = f(x[i]), and dx[i] = dy[i] f'(x[i]).
#pragma once
#include <stddef.h>

typedef enum {
  SD_SILU, SD_GELU_ERF, SD_GELU_TANH, SD_GELU_QUICK, SD_SIGMOID, SD_TANH, SD_RELU,
  SD_EXP, SD_ERF
} sd_function;

void sd_apply(sd_function function, const float *x, float *y, size_t count);
/// SD_EXP and SD_ERF have no derivative here.
void sd_apply_gradient(sd_function function, const float *x, const float *dy, float *dx, size_t count);

void sd_add(const float *x, const float *y, float *z, size_t count);
void sd_subtract(const float *x, const float *y, float *z, size_t count);
void sd_multiply(const float *x, const float *y, float *z, size_t count);
void sd_scale(const float *x, float factor, float *y, size_t count);
/// y += factor * x
void sd_accumulate(const float *x, float factor, float *y, size_t count);
/// The sum in double precision, in lanes of eight.
double sd_sum(const float *x, size_t count);
double sd_sum_of_squares(const float *x, size_t count);
double sd_sum_of_squared_differences(const float *x, const float *y, size_t count);

/// The sum of (x - origin)² in double precision.
double sd_sum_of_squares_about(const float *x, float origin, size_t count);
/// y = (x - origin) * scale + shift, and its silu.
void sd_shift_scale(const float *x, float origin, float scale, float shift, float *y, size_t count);
void sd_shift_scale_silu(const float *x, float origin, float scale, float shift, float *y, size_t count);

/// For each row of `2 * width`: y = value * gelu_erf(gate), value the first half of the row and gate the second.
void sd_geglu(const float *x, float *y, size_t rows, size_t width);
void sd_geglu_gradient(const float *x, const float *dy, float *dx, size_t rows, size_t width);
