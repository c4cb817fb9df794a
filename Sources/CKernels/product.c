#include "product.h"
#include "clones.h"
#include "lanes.h"
#include "processor.h"

// Rows of b at a time: with three panels' columns they stay in the second cache. Packed rows of a stay in the first.
#define DEPTH 1024
#define PACKED_DEPTH 512

#define BODY "packed_product_body.h"
#include "each_target.h"

typedef struct {
  void (*product)(size_t m, size_t vectors, size_t k, const float *a, size_t am, size_t ak, const float *b, size_t ldb,
                  size_t panel, float *c, size_t ldc, int adds, const float *start, upcoming *next);
  void (*packed)(size_t m, size_t vectors, size_t k, const float *a, const float *b, size_t ldb, size_t panel, float *c,
                 size_t ldc, int adds, const float *start);
} products;

static products products_of(int level) {
#if defined(__x86_64__)
  if (level >= 4) return (products){v4_product, v4_packed_product};
  if (level >= 3) return (products){v3_product, v3_packed_product};
#endif
  return (products){baseline_product, baseline_packed_product};
}

void sd_product_on(int level, size_t m, size_t n, size_t k, const float *a, size_t am, size_t ak, sd_panels b, float *c,
                   size_t ldc, int adds, const float *start, sd_operands next) {
  products multiply = products_of(level);
  for (size_t p = 0; p < k; p += DEPTH) {
    size_t depth = k - p < DEPTH ? k - p : DEPTH;
    upcoming parts = {next.a + p * ak, next.b + p * b.row, next.a ? m : 0, next.b ? n : 0, am, b.panel, depth};
    multiply.product(m, n / 16, depth, a + p * ak, am, ak, b.first + p * b.row, b.row, b.panel, c, ldc, adds || p > 0,
                     start, next.a || next.b ? &parts : 0);
  }
}

void sd_product(size_t m, size_t n, size_t k, const float *a, size_t am, size_t ak, sd_panels b, float *c, size_t ldc,
                int adds, const float *start, sd_operands next) {
  sd_product_on(sd_processor_level(), m, n, k, a, am, ak, b, c, ldc, adds, start, next);
}

void sd_packed_product_on(int level, size_t m, size_t n, size_t k, const float *a, sd_panels b, float *c, size_t ldc,
                          const float *start) {
  products multiply = products_of(level);
  for (size_t p = 0; p < k; p += PACKED_DEPTH) {
    size_t depth = k - p < PACKED_DEPTH ? k - p : PACKED_DEPTH;
    for (size_t i = 0; i < m; i += SD_PACKED_ROWS) {
      size_t rows = m - i < SD_PACKED_ROWS ? m - i : SD_PACKED_ROWS;
      multiply.packed(rows, n / 16, depth, a + i * k + p * SD_PACKED_ROWS, b.first + p * b.row, b.row, b.panel,
                      c + i * ldc, ldc, p > 0, start ? start + i : 0);
    }
  }
}

void sd_packed_product(size_t m, size_t n, size_t k, const float *a, sd_panels b, float *c, size_t ldc,
                       const float *start) {
  sd_packed_product_on(sd_processor_level(), m, n, k, a, b, c, ldc, start);
}

// Sixteen p of up to 16 rows, turned around: `columns` floats, 8 or 16, of each p, zeros behind the last row.
SD_INLINE void gather_square(const float *x, size_t across, size_t rows, float scale, size_t height, size_t columns,
                             float *y) {
  lanes square[16];
  UNROLLED for (size_t i = 0; i < 16; i++) square[i] = i < rows ? LOAD(x + i * across) * scale : (lanes){0};
  turn(square);
  for (size_t p = 0; p < 16; p++) {
    if (columns == 16) STORE(y + p * height, square[p]);
    else STORE_HALF(y + p * height, square[p]);
  }
}

SD_CLONES void sd_gather_panels(const float *x, size_t count, size_t across, size_t depth, size_t along, size_t height,
                                float scale, float *y) {
  for (size_t first = 0; first < count; first += height, y += depth * height)
    for (size_t l = 0; l < height; l += 16) {
      const size_t left = count - first > l ? count - first - l : 0, columns = height - l < 16 ? 8 : 16;
      const size_t rows = left < columns ? left : columns;
      const float *in = x + (first + l) * across;
      float *out = y + l;
      size_t p = 0;
      if (along == 1)
        for (; p + 16 <= depth; p += 16) gather_square(in + p, across, rows, scale, height, columns, out + p * height);
      for (; p < depth; p++) {
        for (size_t i = 0; i < rows; i++) out[p * height + i] = in[i * across + p * along] * scale;
        for (size_t i = rows; i < columns; i++) out[p * height + i] = 0;
      }
    }
}

void sd_pack_panels(const float *x, size_t stride, size_t rows, size_t columns, size_t first, size_t last, float *panels) {
  for (size_t row = first; row < last; row++)
    for (size_t column = 0; column < columns; column += 16)
      STORE(panels + column * rows + row * 16, LOAD(x + row * stride + column));
}
