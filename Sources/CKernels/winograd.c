#include "winograd.h"
#include "clones.h"
#include "lanes.h"
#include <string.h>

#define LANES SD_WINOGRAD_LANES

// Each transforms one column or row of six (or four, or three): from s[i * step] to t[i * out].
SD_INLINE void transform_input(const lanes *s, int step, lanes *t, int out) {
  lanes a = s[0 * step], b = s[1 * step], c = s[2 * step], d = s[3 * step], e = s[4 * step], f = s[5 * step];
  lanes p = e - 4.0f * c, q = d - 4.0f * b, r = e - c, o = 2.0f * (d - b);
  t[0 * out] = 4.0f * a - 5.0f * c + e;
  t[1 * out] = p + q;
  t[2 * out] = p - q;
  t[3 * out] = r + o;
  t[4 * out] = r - o;
  t[5 * out] = 4.0f * b - 5.0f * d + f;
}
SD_INLINE void transform_output(const lanes *s, int step, lanes *t, int out) {
  lanes a = s[0 * step], b = s[1 * step], c = s[2 * step], d = s[3 * step], e = s[4 * step], f = s[5 * step];
  lanes p = b + c, q = b - c, r = d + e, o = d - e;
  t[0 * out] = a + p + r;
  t[1 * out] = q + 2.0f * o;
  t[2 * out] = p + 4.0f * r;
  t[3 * out] = q + 8.0f * o + f;
}
SD_INLINE void transform_output_gradient(const lanes *s, int step, lanes *t, int out) {
  lanes a = s[0 * step], b = s[1 * step], c = s[2 * step], d = s[3 * step];
  lanes p = a + c, q = b + d, r = a + 4.0f * c, o = 2.0f * b + 8.0f * d;
  t[0 * out] = a;
  t[1 * out] = p + q;
  t[2 * out] = p - q;
  t[3 * out] = r + o;
  t[4 * out] = r - o;
  t[5 * out] = d;
}
SD_INLINE void transform_weight(const lanes *s, int step, lanes *t, int out) {
  lanes a = s[0 * step], b = s[1 * step], c = s[2 * step];
  lanes p = (a + c) * (-1.0f / 6), q = b * (1.0f / 6), r = a * (1.0f / 24) + c * (1.0f / 6), o = b * (1.0f / 12);
  t[0 * out] = a * 0.25f;
  t[1 * out] = p - q;
  t[2 * out] = p + q;
  t[3 * out] = r + o;
  t[4 * out] = r - o;
  t[5 * out] = c;
}
SD_INLINE void transform_weight_gradient(const lanes *s, int step, lanes *t, int out) {
  lanes a = s[0 * step], b = s[1 * step], c = s[2 * step], d = s[3 * step], e = s[4 * step], f = s[5 * step];
  lanes p = b + c, q = c - b, r = d + e, o = d - e;
  t[0 * out] = a * 0.25f - p * (1.0f / 6) + r * (1.0f / 24);
  t[1 * out] = q * (1.0f / 6) + o * (1.0f / 12);
  t[2 * out] = (r - p) * (1.0f / 6) + f;
}

// A piece of an image as 16 channels of [rows, columns]: where pixel (row, column) lies.
typedef struct {
  const float *base;
  size_t row, pixel;
} view;

// Rows `from ..< from + count` of 16 planes, turned into [count, width, 16].
SD_INLINE void gather_planes(const float *x, sd_image g, size_t first, size_t from, size_t count, float *scratch) {
  size_t plane = g.height * g.width;
  const float *line = x + first * plane + from * g.width;
  // The rows of a plane follow each other.
  for (size_t i = 0; i < count * g.width; i += LANES) {
    size_t n = count * g.width - i < LANES ? count * g.width - i : LANES;
    if (n < LANES) {
      for (size_t c = 0; c < LANES; c++)
        for (size_t p = 0; p < n; p++) scratch[(i + p) * LANES + c] = line[c * plane + i + p];
      break;
    }
    lanes pixels[LANES];
    for (size_t c = 0; c < LANES; c++) pixels[c] = LOAD(line + c * plane + i);
    turn(pixels);
    for (size_t p = 0; p < LANES; p++) STORE(scratch + (i + p) * LANES, pixels[p]);
  }
}

// And back.
SD_INLINE void scatter_planes(const float *scratch, sd_image g, size_t first, size_t from, size_t count, float *y) {
  size_t plane = g.height * g.width;
  float *line = y + first * plane + from * g.width;
  for (size_t i = 0; i < count * g.width; i += LANES) {
    size_t n = count * g.width - i < LANES ? count * g.width - i : LANES;
    if (n < LANES) {
      for (size_t c = 0; c < LANES; c++)
        for (size_t p = 0; p < n; p++) line[c * plane + i + p] = scratch[(i + p) * LANES + c];
      break;
    }
    lanes pixels[LANES];
    for (size_t p = 0; p < LANES; p++) pixels[p] = LOAD(scratch + (i + p) * LANES);
    turn(pixels);
    for (size_t c = 0; c < LANES; c++) STORE(line + c * plane + i, pixels[c]);
  }
}

SD_INLINE view viewed(const float *x, sd_image g, size_t channel, size_t from, size_t count, float *scratch) {
  if (!g.planar) {
    view v = {x + from * g.width * g.channels + channel, g.width * g.channels, g.channels};
    return v;
  }
  gather_planes(x, g, channel, from, count, scratch);
  view v = {scratch, g.width * LANES, LANES};
  return v;
}

// Six vectors of a row or column of parts, `apart` floats from each other.
SD_INLINE void put_line(const lanes *line, float *out, size_t apart, int streams) {
  UNROLLED for (size_t c = 0; c < 6; c++) {
    if (streams) __builtin_nontemporal_store(line[c], (lanes *)(out + c * apart));
    else STORE(out + c * apart, line[c]);
  }
}

// What was streamed is seen by other threads behind this.
SD_INLINE void end_streams(int streams) {
  if (streams) __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

SD_INLINE void input(const float *x, sd_image g, size_t tile_row, sd_transformed v, int streams, float *scratch) {
  long top = (long)tile_row * 4 - 1;
  size_t from = top < 0 ? 0 : (size_t)top, to = (size_t)(top + 6) < g.height ? (size_t)(top + 6) : g.height;
  size_t tiles = (g.width + 3) / 4;
  for (size_t channel = 0; channel < g.channels; channel += LANES) {
    view s = viewed(x, g, channel, from, to - from, scratch);
    for (size_t tile = 0; tile < tiles; tile++) {
      lanes d[36], t[36];
      long left = (long)tile * 4 - 1;
      for (long r = 0; r < 6; r++)
        for (long c = 0; c < 6; c++) {
          long y = top + r, column = left + c;
          int inside = y >= 0 && y < (long)g.height && column >= 0 && column < (long)g.width;
          d[r * 6 + c] = inside ? LOAD(s.base + ((size_t)y - from) * s.row + (size_t)column * s.pixel) : (lanes){0};
        }
      for (int c = 0; c < 6; c++) transform_input(d + c, 6, t + c, 6);
      float *out = v.first + tile * v.pitch + channel / LANES * v.group;
      for (size_t r = 0; r < 6; r++) {
        lanes line[6];
        transform_input(t + 6 * r, 1, line, 1);
        put_line(line, out + r * 6 * v.plane, v.plane, streams);
      }
    }
  }
  end_streams(streams);
}

SD_CLONES void sd_winograd_input(const float *x, sd_image image, size_t tile_row, sd_transformed v, float *scratch) {
  if (v.streams) input(x, image, tile_row, v, 1, scratch);
  else input(x, image, tile_row, v, 0, scratch);
}

SD_CLONES void sd_winograd_output(const float *m, size_t pitch, size_t plane, const float *bias, float *y, sd_image g,
                                       size_t tile_row, size_t first, size_t last, float *scratch) {
  size_t from = tile_row * 4, count = from + 4 < g.height ? 4 : g.height - from, tiles = (g.width + 3) / 4;
  for (size_t channel = first; channel < last; channel += LANES) {
    float *base = g.planar ? scratch : y + from * g.width * g.channels + channel;
    size_t pixel = g.planar ? LANES : g.channels, row = pixel * g.width;
    lanes shift = bias ? LOAD(bias + channel) : (lanes){0};
    for (size_t tile = 0; tile < tiles; tile++) {
      lanes t[24];
      const float *in = m + tile * pitch + (channel - first);
      for (int c = 0; c < 6; c++) {
        lanes s[6];
        for (int r = 0; r < 6; r++) s[r] = LOAD(in + (size_t)(r * 6 + c) * plane);
        transform_output(s, 1, t + c, 6);
      }
      size_t columns = tile * 4 + 4 < g.width ? 4 : g.width - tile * 4;
      for (size_t r = 0; r < count; r++) {
        lanes line[4];
        transform_output(t + 6 * r, 1, line, 1);
        for (size_t c = 0; c < columns; c++) STORE(base + r * row + (tile * 4 + c) * pixel, line[c] + shift);
      }
    }
    if (g.planar) scatter_planes(scratch, g, channel, from, count, y);
  }
}

SD_INLINE void output_gradient(const float *dy, sd_image g, size_t tile_row, sd_transformed dm, int streams,
                               float *scratch) {
  size_t from = tile_row * 4, count = from + 4 < g.height ? 4 : g.height - from, tiles = (g.width + 3) / 4;
  for (size_t channel = 0; channel < g.channels; channel += LANES) {
    view s = viewed(dy, g, channel, from, count, scratch);
    for (size_t tile = 0; tile < tiles; tile++) {
      lanes d[16], t[24];
      for (size_t r = 0; r < 4; r++)
        for (size_t c = 0; c < 4; c++) {
          int inside = r < count && tile * 4 + c < g.width;
          d[r * 4 + c] = inside ? LOAD(s.base + r * s.row + (tile * 4 + c) * s.pixel) : (lanes){0};
        }
      for (int c = 0; c < 4; c++) transform_output_gradient(d + c, 4, t + c, 4);
      float *out = dm.first + tile * dm.pitch + channel / LANES * dm.group;
      for (size_t r = 0; r < 6; r++) {
        lanes line[6];
        transform_output_gradient(t + 4 * r, 1, line, 1);
        put_line(line, out + r * 6 * dm.plane, dm.plane, streams);
      }
    }
  }
  end_streams(streams);
}

SD_CLONES void sd_winograd_output_gradient(const float *dy, sd_image image, size_t tile_row, sd_transformed dm,
                                           float *scratch) {
  if (dm.streams) output_gradient(dy, image, tile_row, dm, 1, scratch);
  else output_gradient(dy, image, tile_row, dm, 0, scratch);
}

// G g Gᵀ of the kernels of 16 outputs at a time, side by side.
SD_INLINE void transform_kernels(const lanes *g, float *out, size_t plane, int streams) {
  lanes t[18];
  UNROLLED for (int c = 0; c < 3; c++) transform_weight(g + c, 3, t + c, 3);
  UNROLLED for (size_t r = 0; r < 6; r++) {
    lanes line[6];
    transform_weight(t + 3 * r, 1, line, 1);
    put_line(line, out + r * 6 * plane, plane, streams);
  }
}

// Kernels of 16 inputs are nine squares of 16 outputs; what lies behind the last kernel is read with it.
SD_INLINE void weight(const float *weight, size_t outputs, size_t inputs, sd_transformed u, int streams) {
  for (size_t o = 0; o < outputs; o += LANES)
    for (size_t first = 0; first < inputs; first += LANES) {
      const size_t count = inputs - first < LANES ? inputs - first : LANES;
      lanes kernels[9 * LANES];
      for (size_t at = 0; at < count * 9; at += LANES) {
        const float *in = weight + (o * inputs + first) * 9 + at;
        lanes square[LANES];
        UNROLLED for (size_t l = 0; l < LANES; l++) square[l] = LOAD(in + l * inputs * 9);
        turn(square);
        UNROLLED for (size_t l = 0; l < LANES; l++) kernels[at + l] = square[l];
      }
      float *out = u.first + o / LANES * u.group + first * u.pitch;
      for (size_t i = 0; i < count; i++) transform_kernels(kernels + i * 9, out + i * u.pitch, u.plane, streams);
    }
  end_streams(streams);
}

SD_CLONES void sd_winograd_weight(const float *kernels, size_t outputs, size_t inputs, sd_transformed u) {
  if (u.streams) weight(kernels, outputs, inputs, u, 1);
  else weight(kernels, outputs, inputs, u, 0);
}

SD_INLINE void turned_weight(const float *weight, size_t outputs, size_t inputs, sd_transformed u, int streams) {
  for (size_t o = 0; o < outputs; o += LANES)
    for (size_t i = 0; i < inputs; i++) {
      lanes square[LANES], g[9];
      UNROLLED for (size_t l = 0; l < LANES; l++) square[l] = LOAD(weight + (i * outputs + o + l) * 9);
      turn(square);
      UNROLLED for (size_t t = 0; t < 9; t++) g[t] = square[8 - t];
      transform_kernels(g, u.first + o / LANES * u.group + i * u.pitch, u.plane, streams);
    }
  end_streams(streams);
}

SD_CLONES void sd_winograd_turned_weight(const float *kernels, size_t outputs, size_t inputs, sd_transformed u) {
  if (u.streams) turned_weight(kernels, outputs, inputs, u, 1);
  else turned_weight(kernels, outputs, inputs, u, 0);
}

SD_CLONES void sd_winograd_weight_gradient(const float *du, size_t plane, size_t outputs, size_t inputs,
                                                float *dweight, size_t pitch) {
  for (size_t o = 0; o < outputs; o++)
    for (size_t i = 0; i < inputs; i += LANES) {
      const float *in = du + o * inputs + i;
      lanes t[18];
      for (int c = 0; c < 6; c++) {
        lanes s[6];
        for (int r = 0; r < 6; r++) s[r] = LOAD(in + (size_t)(r * 6 + c) * plane);
        transform_weight_gradient(s, 1, t + c, 6);
      }
      lanes g[LANES] = {0};
      for (int r = 0; r < 3; r++) transform_weight_gradient(t + 6 * r, 1, g + 3 * r, 1);
      turn(g);
      // Each kernel overwrites what is stored behind the one before it.
      float kernels[9 * LANES + LANES];
      for (int l = 0; l < LANES; l++) STORE(kernels + l * 9, g[l]);
      memcpy(dweight + (o * pitch + i) * 9, kernels, 9 * LANES * sizeof(float));
    }
}
