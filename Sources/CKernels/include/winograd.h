// Winograd's F(4×4, 3×3) (Lavin & Gray 2016): the transforms around 36 matrix products. A tile is 4×4 pixels of the
// output and sees 6×6 of the input, beginning one row above and one column to the left of its own.
//
// Images lie channels-last, [height, width, channels], or plane by plane, [channels, height, width]. Transformed tiles
// are [36, tiles, channels]. Channels are multiples of 16.
#pragma once
#include <stddef.h>

/// An image or a batch of them, and the tiles that cover it.
typedef struct {
  size_t height, width, channels;
  /// Whether it lies plane by plane.
  int planar;
} sd_image;

/// Channels that are transformed together.
#define SD_WINOGRAD_LANES 16
/// Floats that the functions below need as scratch for images of this width.
#define SD_WINOGRAD_SCRATCH(width) (6 * ((width) + 8) * SD_WINOGRAD_LANES)

/// Where a transform writes: element (part, tile, channel) at first + part * plane + tile * pitch + channel / 16 * group +
/// channel % 16. All are multiples of 16, as is the address if it `streams`: past the caches, for what is larger than
/// they are.
typedef struct {
  float *first;
  size_t plane, pitch, group;
  int streams;
} sd_transformed;

/// Bᵀ d B of all channels of one row of tiles of one image: `v` begins at the row's first tile.
void sd_winograd_input(const float *x, sd_image image, size_t tile_row, sd_transformed v, float *scratch);

/// Aᵀ m A of one row of tiles plus the bias of all channels (which may be null), written into the image.
void sd_winograd_output(const float *m, size_t pitch, size_t plane, const float *bias, float *y, sd_image image,
                        size_t tile_row, size_t first, size_t last, float *scratch);

/// A dy Aᵀ: what the transformed product receives of the output's gradient.
void sd_winograd_output_gradient(const float *dy, sd_image image, size_t tile_row, sd_transformed dm, float *scratch);

/// G g Gᵀ of the kernels of some outputs and inputs, [outputs, inputs, 3, 3]: inputs stand for tiles, outputs for channels.
/// Up to fifteen floats behind the last kernel are read.
void sd_winograd_weight(const float *weight, size_t outputs, size_t inputs, sd_transformed u);
/// The same of kernels as the way back has them: [inputs, outputs, 3, 3], taps in the other direction.
void sd_winograd_turned_weight(const float *weight, size_t outputs, size_t inputs, sd_transformed u);

/// Gᵀ du G: the gradient of such kernels from [36, outputs, inputs].
void sd_winograd_weight_gradient(const float *du, size_t plane, size_t outputs, size_t inputs, float *dweight,
                                 size_t pitch);
