// Picture files through libjpeg-turbo, libpng and libwebp, whose errors leave by longjmp or by return value: here they
// become a sentence. Nothing is allocated for the pixels; who asks for them brings the memory.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A picture file whose header has been read.
typedef struct sd_picture {
  /// As stored, before it is turned upright.
  size_t width, height;
  /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha or CMYK; side by side.
  unsigned channels;
  /// 8, or 16 in the machine's byte order, of each sample.
  unsigned bits;
  /// Four channels of ink: 0 is paper.
  bool is_cmyk;
  /// Of EXIF, 1 to 8; 1 where nothing is said. Known when the pixels are.
  unsigned orientation;
  /// The embedded ICC profile, NULL if there is none; lives until the picture is closed. Known when the pixels are.
  const uint8_t *profile;
  size_t profile_size;
  /// What went wrong; empty if nothing did.
  char reason[256];
  /// What was passed over of the colour profile; empty if nothing was.
  char warning[256];

  bool (*read)(struct sd_picture *, uint8_t *pixels);
  void (*close)(struct sd_picture *);
} sd_picture;

/// Read the header of a file in memory, which stays the caller's and must outlive the picture.
///
/// NULL only if memory is short; `reason` is not empty if the file is no such picture.
sd_picture *sd_open_jpeg(const uint8_t *bytes, size_t count);
sd_picture *sd_open_png(const uint8_t *bytes, size_t count);
sd_picture *sd_open_webp(const uint8_t *bytes, size_t count);

/// Decodes all pixels, row by row without padding: height * width * channels * bits / 8 bytes. False with a `reason`
/// if the file is damaged or cut off. Once only.
static inline bool sd_read_pixels(sd_picture *picture, uint8_t *pixels) { return picture->read(picture, pixels); }

static inline void sd_close_picture(sd_picture *picture) {
  if (picture) picture->close(picture);
}

/// A text that a PNG file carries in an iTXt chunk, UTF-8.
typedef struct {
  const char *keyword, *text;
} sd_png_text;

/// Writes RGB of 8 bits as a PNG file; NULL if memory is short. The caller frees it.
uint8_t *sd_write_png(const uint8_t *pixels, size_t width, size_t height, const sd_png_text *texts, size_t text_count,
                      size_t *size);

/// Calls back for every text of a PNG file, in the file's order; nothing for a damaged file.
void sd_each_png_text(const uint8_t *bytes, size_t count, void *context,
                      void (*take)(void *context, const char *keyword, const char *text));
