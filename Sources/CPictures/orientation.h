// How a picture is to be turned.
#pragma once
#include <libexif/exif-data.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/// EXIF's orientation, 1 to 8; 1 where the data says nothing or nonsense.
///
/// @param bytes TIFF's structure, with or without "Exif\0\0" in front.
static inline unsigned sd_orientation(const uint8_t *bytes, size_t count) {
  static const char prefix[6] = "Exif\0";
  const size_t skipped = count >= 6 && memcmp(bytes, prefix, 6) == 0 ? 6 : 0;
  // Real data is at most a segment of 64 KiB; only its first directory counts.
  if (count - skipped > (1 << 20)) return 1;
  uint8_t *copy = malloc(count - skipped + 6);
  if (!copy) return 1;
  memcpy(copy, prefix, 6);
  memcpy(copy + 6, bytes + skipped, count - skipped);
  unsigned orientation = 1;
  ExifData *data = exif_data_new();
  if (data) {
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
    exif_data_load_data(data, copy, (unsigned)(count - skipped + 6));
    ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    const bool is_short = entry && entry->format == EXIF_FORMAT_SHORT && entry->size >= 2;
    const bool is_long = entry && entry->format == EXIF_FORMAT_LONG && entry->size >= 4;
    if (is_short || is_long) {
      const ExifByteOrder order = exif_data_get_byte_order(data);
      const unsigned value = is_short ? exif_get_short(entry->data, order) : exif_get_long(entry->data, order);
      if (value >= 1 && value <= 8) orientation = value;
    }
    exif_data_unref(data);
  }
  free(copy);
  return orientation;
}
