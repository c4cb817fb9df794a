#include "unfold.h"
#include <string.h>

void sd_unfold_patches(const float *x, float *patches, ptrdiff_t row, ptrdiff_t count, sd_convolution g) {
  const size_t channels = (size_t)g.channels * sizeof(float);
  for (ptrdiff_t r = row; r < row + count; r++) {
    ptrdiff_t ox = r % g.output_width, oy = r / g.output_width % g.output_height;
    const float *image = x + r / (g.output_width * g.output_height) * g.height * g.width * g.channels;
    for (ptrdiff_t ky = 0; ky < g.kernel_height; ky++) {
      ptrdiff_t iy = oy * g.stride - g.top + ky;
      ptrdiff_t first = ox * g.stride - g.left;
      if (iy < 0 || iy >= g.height) {
        memset(patches, 0, channels * (size_t)g.kernel_width);
        patches += g.kernel_width * g.channels;
      } else if (first >= 0 && first + g.kernel_width <= g.width) {
        memcpy(patches, image + (iy * g.width + first) * g.channels, channels * (size_t)g.kernel_width);
        patches += g.kernel_width * g.channels;
      } else {
        for (ptrdiff_t ix = first; ix < first + g.kernel_width; ix++, patches += g.channels) {
          if (ix < 0 || ix >= g.width) memset(patches, 0, channels);
          else memcpy(patches, image + (iy * g.width + ix) * g.channels, channels);
        }
      }
    }
  }
}

void sd_fold_patches(const float *patches, float *dx, ptrdiff_t row, ptrdiff_t count, sd_convolution g) {
  for (ptrdiff_t r = row; r < row + count; r++) {
    ptrdiff_t ox = r % g.output_width, oy = r / g.output_width % g.output_height;
    float *image = dx + r / (g.output_width * g.output_height) * g.height * g.width * g.channels;
    for (ptrdiff_t ky = 0; ky < g.kernel_height; ky++)
      for (ptrdiff_t kx = 0; kx < g.kernel_width; kx++, patches += g.channels) {
        ptrdiff_t iy = oy * g.stride - g.top + ky, ix = ox * g.stride - g.left + kx;
        if (iy < 0 || iy >= g.height || ix < 0 || ix >= g.width) continue;
        float *pixel = image + (iy * g.width + ix) * g.channels;
        for (ptrdiff_t c = 0; c < g.channels; c++) pixel[c] += patches[c];
      }
  }
}

void sd_pack_weight(const float *weight, float *packed, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps) {
  for (ptrdiff_t o = 0; o < outputs; o++)
    for (ptrdiff_t i = 0; i < inputs; i++)
      for (ptrdiff_t t = 0; t < taps; t++) packed[(o * taps + t) * inputs + i] = weight[(o * inputs + i) * taps + t];
}

void sd_unpack_weight(const float *packed, float *weight, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps) {
  for (ptrdiff_t o = 0; o < outputs; o++)
    for (ptrdiff_t i = 0; i < inputs; i++)
      for (ptrdiff_t t = 0; t < taps; t++) weight[(o * inputs + i) * taps + t] = packed[(o * taps + t) * inputs + i];
}

void sd_flip_weight(const float *weight, float *flipped, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t kernel_height,
                    ptrdiff_t kernel_width) {
  ptrdiff_t taps = kernel_height * kernel_width;
  for (ptrdiff_t o = 0; o < outputs; o++)
    for (ptrdiff_t i = 0; i < inputs; i++)
      for (ptrdiff_t t = 0; t < taps; t++)
        flipped[(i * taps + (taps - 1 - t)) * outputs + o] = weight[(o * inputs + i) * taps + t];
}

// As sd_unfold_patches, with the taps of one channel side by side.
void sd_unfold_channels(const float *x, float *patches, ptrdiff_t row, ptrdiff_t count, sd_convolution g) {
  ptrdiff_t taps = g.kernel_height * g.kernel_width;
  for (ptrdiff_t r = row; r < row + count; r++, patches += taps * g.channels) {
    ptrdiff_t ox = r % g.output_width, oy = r / g.output_width % g.output_height;
    const float *image = x + r / (g.output_width * g.output_height) * g.height * g.width * g.channels;
    for (ptrdiff_t tap = 0; tap < taps; tap++) {
      ptrdiff_t iy = oy * g.stride - g.top + tap / g.kernel_width, ix = ox * g.stride - g.left + tap % g.kernel_width;
      int inside = iy >= 0 && iy < g.height && ix >= 0 && ix < g.width;
      const float *pixel = image + (iy * g.width + ix) * g.channels;
      for (ptrdiff_t c = 0; c < g.channels; c++) patches[c * taps + tap] = inside ? pixel[c] : 0;
    }
  }
}

void sd_fold_channels(const float *patches, float *dx, ptrdiff_t rows, ptrdiff_t first, ptrdiff_t last,
                      sd_convolution g) {
  ptrdiff_t taps = g.kernel_height * g.kernel_width, pixels = rows / (g.output_width * g.output_height) * g.height * g.width;
  for (ptrdiff_t p = 0; p < pixels; p++) memset(dx + p * g.channels + first, 0, (size_t)(last - first) * sizeof(float));
  for (ptrdiff_t r = 0; r < rows; r++, patches += taps * (last - first)) {
    ptrdiff_t ox = r % g.output_width, oy = r / g.output_width % g.output_height;
    float *image = dx + r / (g.output_width * g.output_height) * g.height * g.width * g.channels;
    for (ptrdiff_t tap = 0; tap < taps; tap++) {
      ptrdiff_t iy = oy * g.stride - g.top + tap / g.kernel_width, ix = ox * g.stride - g.left + tap % g.kernel_width;
      if (iy < 0 || iy >= g.height || ix < 0 || ix >= g.width) continue;
      float *pixel = image + (iy * g.width + ix) * g.channels + first;
      for (ptrdiff_t c = 0; c < last - first; c++) pixel[c] += patches[c * taps + tap];
    }
  }
}
