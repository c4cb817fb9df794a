#include "pictures.h"
#include "orientation.h"
#include <png.h>

typedef struct {
  sd_picture picture;
  png_structp png;
  png_infop info, end;
  const uint8_t *bytes;
  size_t left;
} png_picture;

static void fail(png_structp png, png_const_charp message) {
  png_picture *self = png_get_error_ptr(png);
  if (self) {
    strncpy(self->picture.reason, message, sizeof self->picture.reason - 1);
  }
  png_longjmp(png, 1);
}

// Only what is said of profiles changes what the pixels mean.
static void warn(png_structp png, png_const_charp message) {
  png_picture *self = png_get_error_ptr(png);
  if (self && strstr(message, "iCCP")) strncpy(self->picture.warning, message, sizeof self->picture.warning - 1);
}

static void take(png_structp png, png_bytep to, size_t count) {
  png_picture *self = png_get_io_ptr(png);
  if (count > self->left) png_error(png, "the file is cut off");
  memcpy(to, self->bytes, count);
  self->bytes += count;
  self->left -= count;
}

static void note_orientation(png_picture *self, png_infop info) {
  png_bytep data = NULL;
  png_uint_32 count = 0;
  if (png_get_eXIf_1(self->png, info, &count, &data) && data) self->picture.orientation = sd_orientation(data, count);
}

// What stands behind the pixels may turn the picture; that it is damaged or missing takes nothing from them.
static void read_end(png_picture *self) {
  if (setjmp(png_jmpbuf(self->png)) == 0) png_read_end(self->png, self->end);
  else self->picture.reason[0] = 0;
  note_orientation(self, self->end);
}

static bool read_png(sd_picture *picture, uint8_t *pixels) {
  png_picture *self = (png_picture *)picture;
  png_bytep *volatile rows = malloc(picture->height * sizeof *rows);
  if (!rows) return false;
  const size_t row = picture->width * picture->channels * picture->bits / 8;
  for (size_t y = 0; y < picture->height; y++) rows[y] = pixels + y * row;
  if (setjmp(png_jmpbuf(self->png))) {
    free(rows);
    return false;
  }
  png_read_image(self->png, rows);
  free(rows);
  read_end(self);
  return true;
}

static void close_png(sd_picture *picture) {
  png_picture *self = (png_picture *)picture;
  if (self->png) png_destroy_read_struct(&self->png, &self->info, &self->end);
  free(self);
}

static png_picture *opened(const uint8_t *bytes, size_t count) {
  png_picture *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->picture.read = read_png;
  self->picture.close = close_png;
  self->picture.orientation = 1;
  self->bytes = bytes;
  self->left = count;
  self->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, self, fail, warn);
  if (self->png) {
    self->info = png_create_info_struct(self->png);
    self->end = png_create_info_struct(self->png);
  }
  if (!self->info || !self->end) {
    close_png(&self->picture);
    return NULL;
  }
  png_set_read_fn(self->png, self, take);
  // A profile or text that unpacks to more than this is left out.
  png_set_chunk_malloc_max(self->png, 16 << 20);
  png_set_chunk_cache_max(self->png, 1000);
  return self;
}

sd_picture *sd_open_png(const uint8_t *bytes, size_t count) {
  png_picture *self = opened(bytes, count);
  if (!self) return NULL;
  png_structp png = self->png;
  png_infop info = self->info;
  sd_picture *picture = &self->picture;
  if (setjmp(png_jmpbuf(png))) return picture;
  png_read_info(png, info);
  png_charp name = NULL;
  png_bytep profile = NULL;
  png_uint_32 size = 0;
  int compression = 0;
  if (png_get_iCCP(png, info, &name, &compression, &profile, &size)) {
    picture->profile = profile;
    picture->profile_size = size;
  }
  note_orientation(self, info);
  const int depth = png_get_bit_depth(png, info);
  // gAMA and cHRM are left alone, as all trainers do: real files nearly always mean sRGB.
  png_set_expand(png);
  if (depth == 16) {
    // Without a profile to apply first: v / 257, rounded.
    if (!picture->profile) png_set_scale_16(png);
    else if (*(const uint8_t *)&(const uint16_t){1}) png_set_swap(png);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  picture->width = png_get_image_width(png, info);
  picture->height = png_get_image_height(png, info);
  picture->channels = png_get_channels(png, info);
  picture->bits = png_get_bit_depth(png, info);
  return picture;
}

void sd_each_png_text(const uint8_t *bytes, size_t count, void *context,
                      void (*take)(void *context, const char *keyword, const char *text)) {
  png_picture *self = opened(bytes, count);
  if (!self) return;
  if (setjmp(png_jmpbuf(self->png)) == 0) {
    png_read_info(self->png, self->info);
    png_textp texts = NULL;
    const int found = png_get_text(self->png, self->info, &texts, NULL);
    for (int i = 0; i < found; i++) take(context, texts[i].key, texts[i].text);
  }
  close_png(&self->picture);
}

typedef struct {
  uint8_t *bytes;
  size_t count, room;
} growing;

static void put(png_structp png, png_bytep from, size_t count) {
  growing *file = png_get_io_ptr(png);
  if (file->count + count > file->room) {
    const size_t room = (file->count + count) * 2;
    uint8_t *bytes = realloc(file->bytes, room);
    if (!bytes) png_error(png, "out of memory");
    file->bytes = bytes;
    file->room = room;
  }
  memcpy(file->bytes + file->count, from, count);
  file->count += count;
}

static void settle(png_structp png) { (void)png; }

uint8_t *sd_write_png(const uint8_t *pixels, size_t width, size_t height, const sd_png_text *texts, size_t text_count,
                      size_t *size) {
  growing file = {NULL, 0, 0};
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, fail, warn);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  png_textp volatile chunks = calloc(text_count + 1, sizeof *chunks);
  if (!info || !chunks || setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, &info);
    free(chunks);
    free(file.bytes);
    return NULL;
  }
  png_set_write_fn(png, &file, put, settle);
  png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  for (size_t i = 0; i < text_count; i++) {
    chunks[i].compression = PNG_ITXT_COMPRESSION_NONE;
    chunks[i].key = (png_charp)texts[i].keyword;
    chunks[i].text = (png_charp)texts[i].text;
    chunks[i].itxt_length = strlen(texts[i].text);
    chunks[i].lang = "";
    chunks[i].lang_key = "";
  }
  png_set_text(png, info, chunks, (int)text_count);
  png_write_info(png, info);
  for (size_t y = 0; y < height; y++) png_write_row(png, pixels + y * width * 3);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  free(chunks);
  *size = file.count;
  return file.bytes;
}
