#include "picture_pixels.h"
#include "clones.h"
#include <math.h>
#include <string.h>

// Sums are taken in the order of the pixels, product by product: OpenCV's bytes depend on it.
#pragma STDC FP_CONTRACT OFF

enum { rows_in_block = SD_PICTURE_ROWS, lanes = 3 * SD_PICTURE_ROWS };

// block[width, 3, rows_in_block]: a vector holds one sample of every row. Missing rows repeat the last one.
SD_INLINE void fill_block(const uint8_t *restrict x, size_t rows, size_t width, uint8_t *restrict block) {
  for (size_t at = 0; at < width * 3; at += 64) {
    const size_t end = at + 64 < width * 3 ? at + 64 : width * 3;
    for (size_t r = 0; r < rows_in_block; r++) {
      const uint8_t *row = x + (r < rows ? r : rows - 1) * width * 3;
      for (size_t i = at; i < end; i++) block[i * rows_in_block + r] = row[i];
    }
  }
}

SD_INLINE uint8_t cut(int32_t sum) {
  const int32_t value = sum >> 22;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

SD_CLONES void sd_resample_along_rows(const uint8_t *x, size_t rows, size_t width, sd_windows windows, size_t target,
                                      uint8_t *y, uint8_t *block) {
  for (size_t start = 0; start < rows; start += rows_in_block) {
    const size_t count = rows - start < rows_in_block ? rows - start : rows_in_block;
    fill_block(x + start * width * 3, count, width, block);
    for (size_t i = 0; i < target; i++) {
      int32_t sums[lanes];
      for (size_t l = 0; l < lanes; l++) sums[l] = 1 << 21;
      const uint8_t *from = block + (size_t)windows.first[i] * lanes;
      const int32_t *weights = windows.integers + i * windows.stride;
      for (int32_t k = 0; k < windows.counts[i]; k++, from += lanes) {
        const int32_t weight = weights[k];
        for (size_t l = 0; l < lanes; l++) sums[l] += weight * from[l];
      }
      for (size_t c = 0; c < 3; c++)
        for (size_t r = 0; r < count; r++) y[((start + r) * target + i) * 3 + c] = cut(sums[c * rows_in_block + r]);
    }
  }
}

SD_CLONES void sd_resample_row(const uint8_t *x, size_t width, sd_windows windows, size_t row, size_t first_row,
                               uint8_t *y) {
  enum { piece = 256 };
  const int32_t *weights = windows.integers + row * windows.stride;
  const uint8_t *top = x + ((size_t)windows.first[row] - first_row) * width * 3;
  for (size_t at = 0; at < width * 3; at += piece) {
    const size_t count = width * 3 - at < piece ? width * 3 - at : piece;
    int32_t sums[piece];
    for (size_t i = 0; i < count; i++) sums[i] = 1 << 21;
    for (int32_t k = 0; k < windows.counts[row]; k++) {
      const uint8_t *from = top + (size_t)k * width * 3 + at;
      const int32_t weight = weights[k];
      for (size_t i = 0; i < count; i++) sums[i] += weight * from[i];
    }
    for (size_t i = 0; i < count; i++) y[at + i] = cut(sums[i]);
  }
}

SD_CLONES void sd_average_along_rows(const uint8_t *x, size_t rows, size_t width, sd_windows windows, size_t target,
                                     float *y, uint8_t *block) {
  for (size_t start = 0; start < rows; start += rows_in_block) {
    const size_t count = rows - start < rows_in_block ? rows - start : rows_in_block;
    fill_block(x + start * width * 3, count, width, block);
    for (size_t i = 0; i < target; i++) {
      float sums[lanes] = {0};
      const uint8_t *from = block + (size_t)windows.first[i] * lanes;
      const float *weights = windows.floats + i * windows.stride;
      for (int32_t k = 0; k < windows.counts[i]; k++, from += lanes) {
        const float weight = weights[k];
        for (size_t l = 0; l < lanes; l++) sums[l] += weight * (float)from[l];
      }
      for (size_t c = 0; c < 3; c++)
        for (size_t r = 0; r < count; r++) y[((start + r) * target + i) * 3 + c] = sums[c * rows_in_block + r];
    }
  }
}

SD_CLONES void sd_average_row(const float *x, size_t width, sd_windows windows, size_t row, size_t first_row, uint8_t *y,
                              float *sums) {
  const float *weights = windows.floats + row * windows.stride;
  const float *top = x + ((size_t)windows.first[row] - first_row) * width * 3;
  for (size_t i = 0; i < width * 3; i++) sums[i] = weights[0] * top[i];
  for (int32_t k = 1; k < windows.counts[row]; k++) {
    const float *from = top + (size_t)k * width * 3;
    for (size_t i = 0; i < width * 3; i++) sums[i] += weights[k] * from[i];
  }
  for (size_t i = 0; i < width * 3; i++) {
    const float value = rintf(sums[i]);
    y[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

void sd_average_blocks(const uint8_t *x, size_t rows, size_t width, size_t across, size_t down, uint8_t *y) {
  const size_t target = width / across;
  const float share = 1.0f / (float)(across * down);
  for (size_t row = 0; row < rows / down; row++)
    for (size_t column = 0; column < target; column++)
      for (size_t c = 0; c < 3; c++) {
        uint32_t sum = 0;
        for (size_t j = 0; j < down; j++)
          for (size_t i = 0; i < across; i++) sum += x[((row * down + j) * width + column * across + i) * 3 + c];
        y[(row * target + column) * 3 + c] =
            across == 2 && down == 2 ? (uint8_t)((sum + 2) >> 2) : (uint8_t)rintf((float)sum * share);
      }
}

void sd_turn_picture(const uint8_t *x, size_t width, size_t height, unsigned orientation, uint8_t *y) {
  // Where pixel (row, column) goes: start + row * down + column * across, in pixels.
  const ptrdiff_t w = (ptrdiff_t)width, h = (ptrdiff_t)height;
  ptrdiff_t start = 0, down = w, across = 1;
  switch (orientation) {
    case 2: start = w - 1, across = -1; break;
    case 3: start = w * h - 1, down = -w, across = -1; break;
    case 4: start = w * (h - 1), down = -w; break;
    case 5: down = 1, across = h; break;
    case 6: start = h - 1, down = -1, across = h; break;
    case 7: start = w * h - 1, down = -1, across = -h; break;
    case 8: start = h * (w - 1), down = 1, across = -h; break;
    default: break;
  }
  enum { tile = 32 };
  for (ptrdiff_t r0 = 0; r0 < h; r0 += tile)
    for (ptrdiff_t c0 = 0; c0 < w; c0 += tile)
      for (ptrdiff_t r = r0; r < r0 + tile && r < h; r++)
        for (ptrdiff_t c = c0; c < c0 + tile && c < w; c++)
          memcpy(y + (start + r * down + c * across) * 3, x + (r * w + c) * 3, 3);
}

SD_CLONES void sd_flatten_pixels(const uint8_t *x, size_t count, size_t channels, const uint8_t ground[3], uint8_t *y) {
  for (size_t i = 0; i < count; i++) {
    const uint8_t *from = x + i * (channels + 1);
    const uint32_t alpha = from[channels];
    for (size_t c = 0; c < 3; c++)
      y[i * 3 + c] = (uint8_t)((from[channels == 1 ? 0 : c] * alpha + ground[c] * (255 - alpha) + 127) / 255);
  }
}
