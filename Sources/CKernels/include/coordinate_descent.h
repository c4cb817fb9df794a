// Weights moved one by one to the entries of their palettes that lower a quadratic error most.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const float *first;        // ascending
  ptrdiff_t row, column;     // numbers from one row's, or one column's, entries to the next one's; 0 where they share them
  int count;
} sd_entries;

/// One pass over a block of weight columns, `[columns][rows]` each but for `gram[rows][rows]` and
/// `columns_gram[columns][columns]`, both symmetric.
///
/// The error is ½ Σ E_i E_j gram columns_gram; `residual` is minus its gradient and stays true. Where `fixed` is not null,
/// weights with a number other than zero stay. `moved` becomes what is to be taken from the residuals of other columns,
/// each times its number in columns_gram. Arrays do not overlap. Returns how many weights moved.
ptrdiff_t sd_descend_columns(float *residual, float *values, uint8_t *indices, const uint8_t *fixed, float *moved,
                             ptrdiff_t rows, ptrdiff_t columns, const float *gram, const float *columns_gram,
                             sd_entries entries);
