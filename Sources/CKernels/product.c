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

// Columns first ..< first + count, at most 16, of so many rows.
SD_INLINE void load_square(const float *a, size_t k, size_t rows, size_t first, size_t count, lanes *square) {
  for (size_t row = 0; row < 16; row++) {
    square[row] = (lanes){0};
    if (row < rows && count == 16) square[row] = LOAD(a + row * k + first);
    if (row < rows && count < 16)
      for (size_t p = 0; p < count; p++) square[row][p] = a[row * k + first + p];
  }
  turn(square);
}

SD_CLONES void sd_pack_rows(const float *a, size_t m, size_t k, float *packed) {
  for (size_t i = 0; i < m; i += SD_PACKED_ROWS, a += SD_PACKED_ROWS * k) {
    size_t rows = m - i < SD_PACKED_ROWS ? m - i : SD_PACKED_ROWS;
    for (size_t p = 0; p < k; p += 16) {
      size_t count = k - p < 16 ? k - p : 16;
      lanes first[16], last[16];
      load_square(a, k, rows, p, count, first);
      load_square(a + 16 * k, k, rows < 16 ? 0 : rows - 16, p, count, last);
      for (size_t q = 0; q < count; q++, packed += SD_PACKED_ROWS) {
        STORE(packed, first[q]);
        STORE_HALF(packed + 16, last[q]);
      }
    }
  }
}

void sd_pack_panels(const float *x, size_t stride, size_t rows, size_t columns, size_t first, size_t last, float *panels) {
  for (size_t row = first; row < last; row++)
    for (size_t column = 0; column < columns; column += 16)
      STORE(panels + column * rows + row * 16, LOAD(x + row * stride + column));
}
