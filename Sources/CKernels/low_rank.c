#include "low_rank.h"
#include "clones.h"
#include "lanes.h"

enum { TALL = 4, VECTORS = 2, WIDE = 16 * VECTORS };

// Sums that stay in registers while all ranks go by: each row of the right factor is read once for `TALL` rows.
SD_INLINE void block(const float *left, size_t rank, float scale, const float *right, size_t stride, float *y, size_t pitch) {
  lanes sums[TALL][VECTORS];
  UNROLLED for (int i = 0; i < TALL; i++)
    UNROLLED for (int v = 0; v < VECTORS; v++) sums[i][v] = LOAD(y + i * pitch + 16 * v);
  for (size_t r = 0; r < rank; r++) {
    const float *from = right + r * stride;
    UNROLLED for (int i = 0; i < TALL; i++) {
      const float factor = scale * left[i * rank + r];
      UNROLLED for (int v = 0; v < VECTORS; v++) sums[i][v] += factor * LOAD(from + 16 * v);
    }
  }
  UNROLLED for (int i = 0; i < TALL; i++)
    UNROLLED for (int v = 0; v < VECTORS; v++) STORE(y + i * pitch + 16 * v, sums[i][v]);
}

// What is smaller than a block is computed in one beside it, so that no element's sum depends on its place.
SD_INLINE void part(const float *left, size_t rank, float scale, const float *right, size_t stride, size_t rows, size_t columns,
                    float *y, size_t pitch) {
  float edge[TALL * WIDE];
  for (size_t i = 0; i < TALL; i++)
    for (size_t j = 0; j < WIDE; j++) edge[i * WIDE + j] = i < rows && j < columns ? y[i * pitch + j] : 0;
  for (size_t r = 0; r < rank; r++) {
    float from[WIDE];
    for (size_t j = 0; j < WIDE; j++) from[j] = j < columns ? right[r * stride + j] : 0;
    for (size_t i = 0; i < rows; i++) {
      const float factor = scale * left[i * rank + r];
      UNROLLED for (int v = 0; v < VECTORS; v++) {
        lanes sums = LOAD(edge + i * WIDE + 16 * v);
        sums += factor * LOAD(from + 16 * v);
        STORE(edge + i * WIDE + 16 * v, sums);
      }
    }
  }
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) y[i * pitch + j] = edge[i * WIDE + j];
}

SD_CLONES void sd_low_rank_add(const float *left, size_t rank, float scale, const float *right, size_t stride, size_t rows,
                               size_t columns, float *y, size_t pitch) {
  for (size_t column = 0; column < columns; column += WIDE) {
    const size_t width = columns - column < WIDE ? columns - column : WIDE;
    for (size_t row = 0; row < rows; row += TALL) {
      const size_t height = rows - row < TALL ? rows - row : TALL;
      float *to = y + row * pitch + column;
      if (width == WIDE && height == TALL) block(left + row * rank, rank, scale, right + column, stride, to, pitch);
      else part(left + row * rank, rank, scale, right + column, stride, height, width, to, pitch);
    }
  }
}
