// libpng's simplified interface, which reports errors by return value, and its macros that Swift cannot import.
#pragma once
#include <png.h>
#include <string.h>

static inline png_image sd_png_image(void) {
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  return image;
}
static inline unsigned sd_png_rgb(void) { return PNG_FORMAT_RGB; }
static inline unsigned sd_png_rgba(void) { return PNG_FORMAT_RGBA; }
