// Softmax and normalization over rows of contiguous floats.
#pragma once
#include <stddef.h>

/// In place, for each of `rows` rows of `width` (stride apart): x = exp(scale x - max) / sum.
void sd_softmax(float *x, size_t rows, size_t width, size_t stride, float scale);
/// dx = scale * y * (dy - sum of y dy), rows of `width`; dx may be dy.
void sd_softmax_gradient(const float *y, const float *dy, float *dx, size_t rows, size_t width, float scale);
/// y = (x - mean) * rstd * weight + bias along rows of `width`; weight and bias may be null.
void sd_layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *y,
                   float *mean, float *rstd, size_t rows, size_t width);
/// Adds this call's share to dweight and dbias (doubles), if given.
void sd_layer_norm_gradient(const float *x, const float *weight, const float *dy, const float *mean, const float *rstd,
                            float *dx, double *dweight, double *dbias, size_t rows, size_t width);

/// Adds, for each channel, the sum of x - origin and of its square over `rows` rows of `channels`.
void sd_channel_moments(const float *x, const float *origin, size_t rows, size_t channels, double *sum, double *square);
/// y = (x - mean[channel]) * scale[channel] + bias[channel]. Subtracting first keeps what a large mean would round off.
void sd_channel_affine(const float *x, const float *mean, const float *scale, const float *bias, float *y, size_t rows,
                       size_t channels);
/// y = silu of the same.
void sd_channel_affine_silu(const float *x, const float *mean, const float *scale, const float *bias, float *y,
                            size_t rows, size_t channels);
/// dz = dy silu'((x - mean[channel]) * scale[channel] + bias[channel]).
void sd_channel_silu_gradient(const float *x, const float *mean, const float *scale, const float *bias, const float *dy,
                              float *dz, size_t rows, size_t channels);
/// Adds, for each channel, the sum of dy and of dy (x - mean).
void sd_channel_products(const float *x, const float *mean, const float *dy, size_t rows, size_t channels,
                         double *sum_dy, double *sum_dy_x);
/// dx = a[channel] dy + b[channel] (x - mean[channel]) + c[channel].
void sd_channel_combine(const float *x, const float *mean, const float *dy, const float *a, const float *b,
                        const float *c, float *dx, size_t rows, size_t channels);
/// y += x summed over rows: the gradient of a bias.
void sd_column_sums(const float *x, size_t rows, size_t width, double *y);
/// Adds bias[i] to every row.
void sd_add_to_rows(float *x, const float *bias, size_t rows, size_t width);
