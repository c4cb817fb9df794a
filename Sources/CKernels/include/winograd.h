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

/// Bᵀ d B of one row of tiles of one image, for channels [first, last): `v` begins at the row's first tile and the
/// first of those channels; `pitch` floats lie between tiles and `plane` between its 36 parts.
void sd_winograd_input(const float *x, sd_image image, size_t tile_row, size_t first, size_t last, float *v, size_t pitch,
                       size_t plane, float *scratch);

/// Aᵀ m A of one row of tiles plus the bias of all channels (which may be null), written into the image.
void sd_winograd_output(const float *m, size_t pitch, size_t plane, const float *bias, float *y, sd_image image,
                        size_t tile_row, size_t first, size_t last, float *scratch);

/// A dy Aᵀ: what the transformed product receives of the output's gradient.
void sd_winograd_output_gradient(const float *dy, sd_image image, size_t tile_row, size_t first, size_t last, float *dm,
                                 size_t pitch, size_t plane, float *scratch);

/// G g Gᵀ of the kernels of some outputs and inputs, [outputs, inputs, 3, 3], in panels for products: their places in
/// [36, outputs / 16, depth, 16], the 36 parts `plane` apart. Up to fifteen floats behind the last kernel are read.
void sd_winograd_weight(const float *weight, size_t outputs, size_t inputs, float *u, size_t depth, size_t plane);
/// The same of kernels as the way back has them: [inputs, outputs, 3, 3], taps in the other direction.
void sd_winograd_turned_weight(const float *weight, size_t outputs, size_t inputs, float *u, size_t depth, size_t plane);

/// Gᵀ du G: the gradient of such kernels from [36, outputs, inputs].
void sd_winograd_weight_gradient(const float *du, size_t plane, size_t outputs, size_t inputs, float *dweight,
                                 size_t pitch);
