// Products whose left operand was packed for them. Included by each_target.h.
#include "product_body.h"

BLOCK(NAME(tall), TALL, 1)

// c (+)= a b with up to SD_PACKED_ROWS packed rows; n is 16 times `vectors`. All rows at a time with one vector ask least of
// what is not the multiplication.
TARGET static void NAME(packed_product)(size_t m, size_t vectors, size_t k, const float *a, const float *b, size_t ldb,
                                        size_t panel, float *c, size_t ldc, int adds, const float *start) {
  if (m < SD_PACKED_ROWS)
    return NAME(product)(m, vectors, k, a, 1, SD_PACKED_ROWS, b, ldb, panel, c, ldc, adds, start, 0);
  for (; vectors > 0; vectors--, b += panel, c += 16)
    for (size_t i = 0; i < SD_PACKED_ROWS; i += TALL)
      NAME(tall)(k, a + i, 1, SD_PACKED_ROWS, b, ldb, panel, c + i * ldc, ldc, adds, start ? start + i : 0, NOTHING);
}
