// Products on one thread whose operands need no rearranging: what OpenBLAS would copy into panels first is read in place,
// or lies in panels from the start.
#pragma once
#include <stddef.h>

/// A matrix in panels of 16 columns: element (p, j) lies at j / 16 * panel + p * row + j % 16. A row-major matrix has
/// panels 16 apart.
typedef struct {
  const float *first;
  size_t row, panel;
} sd_panels;

/// Operands of the product that comes next, of the same shape and strides; null where they are near enough.
typedef struct {
  const float *a, *b;
} sd_operands;

/// c[m, n] = start[m] + a b, or += a b if `adds`; `start` may be null, n is a multiple of 16. Element (i, p) of a lies at
/// i * am + p * ak, one of which is 1; rows of c lie ldc apart. Each element of c is summed in order of p.
///
/// With am other than 1, panels are of rows 16 apart, or 16 apart themselves. In the first case `next` is fetched meanwhile:
/// worth it where it is not in the second cache. In others it is null.
void sd_product(size_t m, size_t n, size_t k, const float *a, size_t am, size_t ak, sd_panels b, float *c, size_t ldc,
                int adds, const float *start, sd_operands next);
/// The same with the code for a processor level (`sd_processor_level`) or the highest below it that there is.
void sd_product_on(int level, size_t m, size_t n, size_t k, const float *a, size_t am, size_t ak, sd_panels b, float *c,
                   size_t ldc, int adds, const float *start, sd_operands next);

#define SD_PACKED_ROWS 24
/// c[m, n] = start[m] + a b with so many rows of a side by side, [m / SD_PACKED_ROWS, k, SD_PACKED_ROWS]. For operands that are
/// used often: the fastest there is.
void sd_packed_product(size_t m, size_t n, size_t k, const float *a, sd_panels b, float *c, size_t ldc, const float *start);
void sd_packed_product_on(int level, size_t m, size_t n, size_t k, const float *a, sd_panels b, float *c, size_t ldc,
                          const float *start);

/// What lies side by side in panels of `height`, a multiple of 8: [count / height, depth, height], zeros behind the last.
/// Element (i, p) of x lies at i * across + p * along.
void sd_gather_panels(const float *x, size_t count, size_t across, size_t depth, size_t along, size_t height, float scale,
                      float *y);

/// Rows first ..< last of x [rows, columns], which lie `stride` apart, into panels 16 · rows apart; columns are a multiple
/// of 16.
void sd_pack_panels(const float *x, size_t stride, size_t rows, size_t columns, size_t first, size_t last, float *panels);
