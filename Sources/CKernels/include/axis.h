// Reductions, softmax and normalization along the first axis of a slab [width, inner], for columns first ..< last.
// `inner` is the distance between neighbours along the axis; 1 means that they lie side by side.
#pragma once
#include <stddef.h>

typedef enum { SD_SUM, SD_MAX, SD_MIN, SD_PRODUCT, SD_SUM_OF_SQUARES, SD_SUM_OF_MAGNITUDES } sd_reduction;

/// y[column] = the reduction, in double precision where it adds.
void sd_reduce_axis(sd_reduction reduction, const float *x, size_t width, size_t inner, size_t first, size_t last,
                    float *y);
/// y = exp(x - max) / sum, y laid out as x.
void sd_softmax_axis(const float *x, size_t width, size_t inner, size_t first, size_t last, float *y);
/// y = (x - mean) / sqrt(variance + epsilon) * weight[i] + bias[i], i along the axis; weight and bias may be null.
void sd_normalize_axis(const float *x, size_t width, size_t inner, size_t first, size_t last, const float *weight,
                       const float *bias, float epsilon, float *y);
