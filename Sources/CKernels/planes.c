#include "planes.h"
#include "clones.h"
#include <string.h>

// Transposition in tiles that stay in the first-level cache.
SD_CLONES static void transpose(const float *restrict x, ptrdiff_t x_column, float *restrict y, ptrdiff_t y_row,
                                size_t rows, size_t columns) {
  for (size_t r0 = 0; r0 < rows; r0 += 16) {
    size_t r1 = r0 + 16 < rows ? r0 + 16 : rows;
    for (size_t c0 = 0; c0 < columns; c0 += 16) {
      size_t c1 = c0 + 16 < columns ? c0 + 16 : columns;
      for (size_t r = r0; r < r1; r++)
        for (size_t c = c0; c < c1; c++) y[(ptrdiff_t)r * y_row + (ptrdiff_t)c] = x[(ptrdiff_t)c * x_column + (ptrdiff_t)r];
    }
  }
}

SD_CLONES void sd_copy_plane(const float *x, ptrdiff_t x_row, ptrdiff_t x_column, float *y, ptrdiff_t y_row,
                             ptrdiff_t y_column, size_t rows, size_t columns) {
  if (x_column == 1 && y_column == 1) {
    for (size_t r = 0; r < rows; r++)
      memcpy(y + (ptrdiff_t)r * y_row, x + (ptrdiff_t)r * x_row, columns * sizeof *x);
  } else if (x_row == 1 && y_column == 1) {
    transpose(x, x_column, y, y_row, rows, columns);
  } else {
    for (size_t r = 0; r < rows; r++) {
      const float *from = x + (ptrdiff_t)r * x_row;
      float *to = y + (ptrdiff_t)r * y_row;
      for (size_t c = 0; c < columns; c++) to[(ptrdiff_t)c * y_column] = from[(ptrdiff_t)c * x_column];
    }
  }
}

void sd_unfold(const float *x, size_t height, size_t width, size_t out_width, ptrdiff_t top, ptrdiff_t left,
               size_t stride_y, size_t stride_x, size_t first, size_t last, float *y) {
  size_t oy = first / out_width, ox = first % out_width;
  for (size_t p = first; p < last; oy++, ox = 0) {
    size_t end = last - p < out_width - ox ? ox + (last - p) : out_width;
    ptrdiff_t row = (ptrdiff_t)(oy * stride_y) + top;
    float *out = y + (p - first);
    size_t n = end - ox;
    if (row < 0 || row >= (ptrdiff_t)height) {
      memset(out, 0, n * sizeof *out);
    } else {
      const float *in = x + (size_t)row * width;
      size_t i = 0;
      ptrdiff_t column = (ptrdiff_t)(ox * stride_x) + left;
      for (; i < n && column < 0; i++, column += (ptrdiff_t)stride_x) out[i] = 0;
      if (stride_x == 1) {
        size_t inside = column < (ptrdiff_t)width ? width - (size_t)column : 0;
        size_t take = inside < n - i ? inside : n - i;
        memcpy(out + i, in + column, take * sizeof *out);
        i += take;
      } else {
        for (; i < n && column < (ptrdiff_t)width; i++, column += (ptrdiff_t)stride_x) out[i] = in[column];
      }
      memset(out + i, 0, (n - i) * sizeof *out);
    }
    p += n;
  }
}

SD_CLONES void sd_add_constant(float *y, float value, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] += value;
}
SD_CLONES void sd_scale_shift(const float *x, float scale, float shift, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] * scale + shift;
}
