// Pixels of eight bits a channel, red, green and blue side by side, rows without padding.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// A weighted sum of `counts[i]` pixels from `first[i]` on for each output pixel `i`, along one axis.
typedef struct {
  const int32_t *first, *counts;
  /// `stride` for each output pixel, in 2^-22 (integers) or as they are (floats).
  const int32_t *integers;
  const float *floats;
  size_t stride;
} sd_windows;

/// Rows in a block of the passes along rows.
enum { SD_PICTURE_ROWS = 16 };

/// Along rows: y[rows, target, 3] from x[rows, width, 3], rounded and cut to bytes as Pillow does.
/// `block` is scratch of width * 3 * SD_PICTURE_ROWS bytes.
void sd_resample_along_rows(const uint8_t *x, size_t rows, size_t width, sd_windows windows, size_t target, uint8_t *y,
                            uint8_t *block);

/// One row, y[width * 3], from the rows of x that a window names, as Pillow does; `first_row` is that of x[0].
void sd_resample_row(const uint8_t *x, size_t width, sd_windows windows, size_t row, size_t first_row, uint8_t *y);

/// Along rows without rounding, floats in the order of the window: y[rows, target, 3].
void sd_average_along_rows(const uint8_t *x, size_t rows, size_t width, sd_windows windows, size_t target, float *y,
                           uint8_t *block);

/// One row of bytes, rounded half to even, from rows of floats that a window names; `first_row` is that of x[0].
void sd_average_row(const float *x, size_t width, sd_windows windows, size_t row, size_t first_row, uint8_t *y,
                    float *sums);

/// Means of blocks of `across` x `down` pixels: y[rows / down, width / across, 3], as OpenCV rounds them.
void sd_average_blocks(const uint8_t *x, size_t rows, size_t width, size_t across, size_t down, uint8_t *y);

/// Turns a picture as EXIF's orientation 2 to 8 asks; from 5 on y has `width` rows of `height` pixels.
void sd_turn_picture(const uint8_t *x, size_t width, size_t height, unsigned orientation, uint8_t *y);

/// y[i] = (x * alpha + ground * (255 - alpha) + 127) / 255 for x[count, channels + 1]; one channel becomes three.
void sd_flatten_pixels(const uint8_t *x, size_t count, size_t channels, const uint8_t ground[3], uint8_t *y);
