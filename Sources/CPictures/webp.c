#include "pictures.h"
#include "orientation.h"
#include <webp/decode.h>
#include <webp/demux.h>

typedef struct {
  sd_picture picture;
  WebPDemuxer *file;
  WebPIterator frame;
  WebPChunkIterator profile;
} webp_picture;

static void refuse(webp_picture *self, const char *reason) {
  strncpy(self->picture.reason, reason, sizeof self->picture.reason - 1);
}

// The first frame where it lies on the canvas; what it leaves free is transparent.
static bool read_webp(sd_picture *picture, uint8_t *pixels) {
  webp_picture *self = (webp_picture *)picture;
  const size_t row = picture->width * picture->channels, size = row * picture->height;
  const WebPIterator *frame = &self->frame;
  const size_t start = frame->y_offset * row + frame->x_offset * picture->channels;
  memset(pixels, 0, size);
  uint8_t *(*decode)(const uint8_t *, size_t, uint8_t *, size_t, int) =
      picture->channels == 4 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(frame->fragment.bytes, frame->fragment.size, pixels + start, size - start, (int)row)) return true;
  refuse(self, "damaged or cut off");
  return false;
}

static void close_webp(sd_picture *picture) {
  webp_picture *self = (webp_picture *)picture;
  WebPDemuxReleaseIterator(&self->frame);
  WebPDemuxReleaseChunkIterator(&self->profile);
  WebPDemuxDelete(self->file);
  free(self);
}

sd_picture *sd_open_webp(const uint8_t *bytes, size_t count) {
  webp_picture *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  sd_picture *picture = &self->picture;
  picture->read = read_webp;
  picture->close = close_webp;
  picture->orientation = 1;
  picture->bits = 8;
  const WebPData data = {bytes, count};
  self->file = WebPDemux(&data);
  if (!self->file || !WebPDemuxGetFrame(self->file, 1, &self->frame)) {
    refuse(self, "damaged or cut off");
    return picture;
  }
  picture->width = WebPDemuxGetI(self->file, WEBP_FF_CANVAS_WIDTH);
  picture->height = WebPDemuxGetI(self->file, WEBP_FF_CANVAS_HEIGHT);
  const WebPIterator *frame = &self->frame;
  if (!frame->complete || frame->x_offset < 0 || frame->y_offset < 0 || frame->width <= 0 || frame->height <= 0 ||
      (size_t)frame->x_offset + (size_t)frame->width > picture->width ||
      (size_t)frame->y_offset + (size_t)frame->height > picture->height) {
    refuse(self, "a frame that is not whole or lies outside the picture");
    return picture;
  }
  const bool covers = (size_t)frame->width == picture->width && (size_t)frame->height == picture->height;
  picture->channels = frame->has_alpha || !covers ? 4 : 3;
  if (WebPDemuxGetChunk(self->file, "ICCP", 1, &self->profile)) {
    picture->profile = self->profile.chunk.bytes;
    picture->profile_size = self->profile.chunk.size;
  }
  WebPChunkIterator exif;
  memset(&exif, 0, sizeof exif);
  if (WebPDemuxGetChunk(self->file, "EXIF", 1, &exif))
    picture->orientation = sd_orientation(exif.chunk.bytes, exif.chunk.size);
  WebPDemuxReleaseChunkIterator(&exif);
  return picture;
}
