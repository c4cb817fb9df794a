// Patches of channels-last images as matrix rows, and the weight orders that go with them.
#pragma once
#include <stddef.h>

typedef struct {
  ptrdiff_t height, width, channels, output_height, output_width, kernel_height, kernel_width, stride, top, left;
} sd_convolution;

/// Writes the patches `[kernel_height, kernel_width, channels]` of `count` output positions from `row` on.
void sd_unfold_patches(const float *x, float *patches, ptrdiff_t row, ptrdiff_t count, sd_convolution g);
/// Adds patches back to the image they came from.
void sd_fold_patches(const float *patches, float *dx, ptrdiff_t row, ptrdiff_t count, sd_convolution g);
/// `[outputs, inputs, taps]` to `[outputs, taps, inputs]`, and back.
void sd_pack_weight(const float *weight, float *packed, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps);
void sd_unpack_weight(const float *packed, float *weight, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps);
/// `[outputs, inputs, height, width]` to `[inputs, height, width, outputs]` with both kernel axes reversed.
void sd_flip_weight(const float *weight, float *flipped, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t kernel_height,
                    ptrdiff_t kernel_width);

/// Writes the patches `[channels, kernel_height, kernel_width]` of `count` output positions from `row` on: the order in
/// which weights are stored.
void sd_unfold_channels(const float *x, float *patches, ptrdiff_t row, ptrdiff_t count, sd_convolution g);
/// Sets channels [first, last) of the images to the sums of what such patches of these channels alone add to them;
/// `rows` are all output positions of the whole batch.
void sd_fold_channels(const float *patches, float *dx, ptrdiff_t rows, ptrdiff_t first, ptrdiff_t last, sd_convolution g);
