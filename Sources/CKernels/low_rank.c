#include "low_rank.h"
#include "clones.h"
#include "lanes.h"

enum { TALL = 6, STRIP = 8 * TALL, VECTORS = SD_LOW_RANK_PANEL / 16, WIDE = SD_LOW_RANK_PANEL };

// Sums that stay in registers while all ranks go by: each row of the panel is read once for `TALL` rows.
SD_INLINE void block(const float *left, size_t rank, const float *panel, float *y, size_t pitch) {
  lanes sums[TALL][VECTORS];
  UNROLLED for (int i = 0; i < TALL; i++)
    UNROLLED for (int v = 0; v < VECTORS; v++) sums[i][v] = LOAD(y + i * pitch + 16 * v);
  // Two pointers reach six rows of a factor.
  const float *third = left + 3 * rank;
  for (size_t r = 0; r < rank; r++, panel += WIDE, left++, third++)
    UNROLLED for (int i = 0; i < TALL; i++)
      UNROLLED for (int v = 0; v < VECTORS; v++)
        sums[i][v] += (i < 3 ? left[i * rank] : third[(i - 3) * rank]) * LOAD(panel + 16 * v);
  UNROLLED for (int i = 0; i < TALL; i++)
    UNROLLED for (int v = 0; v < VECTORS; v++) STORE(y + i * pitch + 16 * v, sums[i][v]);
}

// What is smaller than a block is computed row by row in a whole one, so that no element's sum depends on its place.
SD_INLINE void part(const float *left, size_t rank, const float *panel, size_t begin, size_t end, size_t rows, float *y,
                    size_t pitch) {
  for (size_t i = 0; i < rows; i++) {
    float edge[WIDE];
    lanes sums[VECTORS];
    for (size_t j = 0; j < WIDE; j++) edge[j] = j >= begin && j < end ? y[i * pitch + j - begin] : 0;
    UNROLLED for (int v = 0; v < VECTORS; v++) sums[v] = LOAD(edge + 16 * v);
    for (size_t r = 0; r < rank; r++)
      UNROLLED for (int v = 0; v < VECTORS; v++) sums[v] += left[i * rank + r] * LOAD(panel + r * WIDE + 16 * v);
    UNROLLED for (int v = 0; v < VECTORS; v++) STORE(edge + 16 * v, sums[v]);
    for (size_t j = begin; j < end; j++) y[i * pitch + j - begin] = edge[j];
  }
}

SD_CLONES void sd_low_rank_add(const float *left, size_t rank, const float *panels, size_t first, size_t rows, size_t columns,
                               float *y, size_t pitch) {
  // A strip of rows stays in the second cache while the panels go by, a panel in the first while the strip does.
  for (size_t top = 0; top < rows; top += STRIP) {
    const size_t below = rows - top < STRIP ? rows - top : STRIP;
    const float *strip = left + top * rank;
    for (size_t column = first; column < first + columns;) {
      const size_t begin = column % WIDE;
      const size_t end = first + columns - column < WIDE - begin ? begin + first + columns - column : WIDE;
      const float *panel = panels + (column - begin) * rank;
      float *to = y + top * pitch + (column - first);
      size_t row = 0;
      if (end - begin == WIDE)
        for (; row + TALL <= below; row += TALL) block(strip + row * rank, rank, panel, to + row * pitch, pitch);
      part(strip + row * rank, rank, panel, begin, end, below - row, to + row * pitch, pitch);
      column += end - begin;
    }
  }
}
