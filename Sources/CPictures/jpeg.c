#include "pictures.h"
#include "orientation.h"
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>

// Progressive files have some ten scans; each goes over the whole picture, so thousands would be an attack.
enum { most_scans = 200 };

typedef struct {
  sd_picture picture;
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  JOCTET *profile;
  /// A bit for each component that some scan had.
  unsigned seen;
} jpeg_picture;

static void leave(j_common_ptr common) {
  jpeg_picture *self = common->client_data;
  common->err->format_message(common, self->picture.reason);
  longjmp(self->failed, 1);
}

// The library goes on with grey where data is missing and only warns: all but warnings that change no pixel are errors.
static void warn(j_common_ptr common, int level) {
  if (level >= 0) return;
  const int code = common->err->msg_code;
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_TOO_MUCH_DATA || code == JWRN_BOGUS_ICC)
    return;
  leave(common);
}

static void note_components(jpeg_picture *self) {
  for (int i = 0; i < self->jpeg.comps_in_scan; i++) self->seen |= 1u << self->jpeg.cur_comp_info[i]->component_index;
}

static void watch_scans(j_common_ptr common) {
  jpeg_picture *self = common->client_data;
  note_components(self);
  if (self->jpeg.input_scan_number <= most_scans) return;
  strcpy(self->picture.reason, "more than 200 scans");
  longjmp(self->failed, 1);
}

static void note_orientation(jpeg_picture *self) {
  for (jpeg_saved_marker_ptr marker = self->jpeg.marker_list; marker; marker = marker->next)
    if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 && memcmp(marker->data, "Exif\0", 6) == 0) {
      self->picture.orientation = sd_orientation(marker->data, marker->data_length);
      return;
    }
}

// A file that ends after a scan: a component or a coefficient's last bits never came. The library fills in zeros.
static bool is_whole(const jpeg_picture *self) {
  if (self->seen != (1u << self->jpeg.num_components) - 1) return false;
  if (!self->jpeg.progressive_mode || !self->jpeg.coef_bits) return true;
  for (int component = 0; component < self->jpeg.num_components; component++)
    for (int k = 0; k < DCTSIZE2; k++)
      if (self->jpeg.coef_bits[component][k] != 0) return false;
  return true;
}

static bool read_jpeg(sd_picture *picture, uint8_t *pixels) {
  jpeg_picture *self = (jpeg_picture *)picture;
  struct jpeg_decompress_struct *jpeg = &self->jpeg;
  if (setjmp(self->failed)) return false;
  self->progress.progress_monitor = watch_scans;
  jpeg->progress = &self->progress;
  note_components(self);
  jpeg_start_decompress(jpeg);
  if (!is_whole(self)) {
    strcpy(picture->reason, "cut off: its last scans are missing");
    return false;
  }
  const size_t row = picture->width * picture->channels;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW to = pixels + jpeg->output_scanline * row;
    jpeg_read_scanlines(jpeg, &to, 1);
  }
  jpeg_finish_decompress(jpeg);
  // Adobe's programs store CMYK inverted, and say so by their marker.
  if (picture->is_cmyk && jpeg->saw_Adobe_marker)
    for (size_t i = 0; i < picture->height * row; i++) pixels[i] = 255 - pixels[i];
  return true;
}

static void close_jpeg(sd_picture *picture) {
  jpeg_picture *self = (jpeg_picture *)picture;
  jpeg_destroy_decompress(&self->jpeg);
  free(self->profile);
  free(self);
}

sd_picture *sd_open_jpeg(const uint8_t *bytes, size_t count) {
  jpeg_picture *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->picture.read = read_jpeg;
  self->picture.close = close_jpeg;
  self->picture.orientation = 1;
  struct jpeg_decompress_struct *jpeg = &self->jpeg;
  jpeg->err = jpeg_std_error(&self->errors);
  self->errors.error_exit = leave;
  self->errors.emit_message = warn;
  jpeg->client_data = self;
  if (setjmp(self->failed)) return &self->picture;
  jpeg_create_decompress(jpeg);
  jpeg_mem_src(jpeg, bytes, count);
  jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xFFFF);
  jpeg_save_markers(jpeg, JPEG_APP0 + 2, 0xFFFF);
  jpeg_read_header(jpeg, TRUE);
  self->picture.width = jpeg->image_width;
  self->picture.height = jpeg->image_height;
  self->picture.bits = 8;
  self->picture.is_cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  const bool is_grey = jpeg->jpeg_color_space == JCS_GRAYSCALE;
  jpeg->out_color_space = self->picture.is_cmyk ? JCS_CMYK : is_grey ? JCS_GRAYSCALE : JCS_RGB;
  self->picture.channels = self->picture.is_cmyk ? 4 : is_grey ? 1 : 3;
  note_orientation(self);
  unsigned size = 0;
  if (jpeg_read_icc_profile(jpeg, &self->profile, &size)) {
    self->picture.profile = self->profile;
    self->picture.profile_size = size;
  }
  return &self->picture;
}
