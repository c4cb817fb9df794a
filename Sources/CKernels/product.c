#include "product.h"
#include "lanes.h"
#include "processor.h"

// Rows of b at a time: with three panels' columns they stay in the second cache.
#define DEPTH 1024

#define BODY "product_body.h"
#include "each_target.h"

typedef void product(size_t m, size_t vectors, size_t k, const float *a, size_t am, size_t ak, const float *b, size_t ldb,
                     size_t panel, float *c, size_t ldc, int adds, const float *start);

static product *product_of(int level) {
#if defined(__x86_64__)
  if (level >= 4) return v4_product;
  if (level >= 3) return v3_product;
#endif
  return baseline_product;
}

void sd_product_on(int level, size_t m, size_t n, size_t k, const float *a, size_t am, size_t ak, sd_panels b, float *c,
                   size_t ldc, int adds, const float *start) {
  product *multiply = product_of(level);
  for (size_t p = 0; p < k; p += DEPTH) {
    size_t depth = k - p < DEPTH ? k - p : DEPTH;
    multiply(m, n / 16, depth, a + p * ak, am, ak, b.first + p * b.row, b.row, b.panel, c, ldc, adds || p > 0, start);
  }
}

void sd_product(size_t m, size_t n, size_t k, const float *a, size_t am, size_t ak, sd_panels b, float *c, size_t ldc,
                int adds, const float *start) {
  sd_product_on(sd_processor_level(), m, n, k, a, am, ak, b, c, ldc, adds, start);
}

void sd_pack_panels(const float *x, size_t stride, size_t rows, size_t columns, size_t first, size_t last, float *panels) {
  for (size_t row = first; row < last; row++)
    for (size_t column = 0; column < columns; column += 16)
      STORE(panels + column * rows + row * 16, LOAD(x + row * stride + column));
}
