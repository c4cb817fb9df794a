// Moving and combining blocks of floats that lie in memory with any strides.
#pragma once
#include <stddef.h>

/// y[r * y_row + c * y_column] = x[r * x_row + c * x_column]; strides may be zero or negative.
void sd_copy_plane(const float *x, ptrdiff_t x_row, ptrdiff_t x_column, float *y, ptrdiff_t y_row, ptrdiff_t y_column,
                   size_t rows, size_t columns);

/// One row of an unfolded convolution input: for output pixels `first` ..< `last` of width `out_width`,
/// y[p - first] = x[oy * stride_y + top, ox * stride_x + left], zero outside `height` x `width`.
void sd_unfold(const float *x, size_t height, size_t width, size_t out_width, ptrdiff_t top, ptrdiff_t left,
               size_t stride_y, size_t stride_x, size_t first, size_t last, float *y);

/// y[i] += value for a row; and y = x * scale + shift.
void sd_add_constant(float *y, float value, size_t count);
void sd_scale_shift(const float *x, float scale, float shift, float *y, size_t count);
