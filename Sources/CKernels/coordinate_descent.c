#include "coordinate_descent.h"
#include "clones.h"
#include <string.h>

SD_INLINE void sd_subtract_multiple(float *restrict y, const float *restrict x, float factor, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) y[i] -= factor * x[i];
}

// The entry nearest to a number, looked for from another one on: it mostly is that one or its neighbour.
SD_INLINE int sd_nearest_from(int at, const float *entries, int count, float wanted) {
  while (at + 1 < count && wanted > 0.5f * (entries[at] + entries[at + 1])) at++;
  while (at > 0 && wanted < 0.5f * (entries[at - 1] + entries[at])) at--;
  return at;
}

SD_CLONES ptrdiff_t sd_descend_columns(float *residual, float *values, uint8_t *indices, const uint8_t *fixed,
                                       float *moved, ptrdiff_t rows, ptrdiff_t columns, const float *gram,
                                       const float *columns_gram, sd_entries entries) {
  ptrdiff_t flips = 0;
  for (ptrdiff_t column = 0; column < columns; column++) {
    float *own = residual + column * rows, *change = moved + column * rows;
    const float curvature = columns_gram[column * columns + column];
    memcpy(change, own, (size_t)rows * sizeof(float));
    for (ptrdiff_t row = 0; row < rows && curvature > 0; row++) {
      const ptrdiff_t at = column * rows + row;
      const float *gram_row = gram + row * rows, *table = entries.first + row * entries.row + column * entries.column;
      if ((fixed && fixed[at]) || !(gram_row[row] > 0)) continue;
      const int found = sd_nearest_from(
          indices[at], table, entries.count, values[at] + own[row] / (curvature * gram_row[row]));
      if (found == indices[at]) continue;
      sd_subtract_multiple(own, gram_row, (table[found] - values[at]) * curvature, rows);
      indices[at] = (uint8_t)found;
      values[at] = table[found];
      flips++;
    }
    // The residuals' change is -curvature · gram · (values' change).
    for (ptrdiff_t row = 0; row < rows; row++) change[row] = curvature > 0 ? (change[row] - own[row]) / curvature : 0;
    for (ptrdiff_t next = column + 1; next < columns; next++)
      sd_subtract_multiple(residual + next * rows, change, columns_gram[column * columns + next], rows);
  }
  return flips;
}
