// Products with blocks of the result in registers. Included by each_target.h.
#include "upcoming.h"

#define STATIC TARGET static inline __attribute__((always_inline))
#define HIDE(pointer) __asm__("" : "+r"(pointer))

// One p of a block below, with its rows of a, its b and its sums. Nothing is loaded before its turn, since all registers are
// taken.
#define STEP(COUNT, WIDTH)                                                                                            \
  lanes row[WIDTH];                                                                                                   \
  __asm__ volatile("" ::: "memory");                                                                                  \
  UNROLLED for (size_t w = 0; w < WIDTH; w++) row[w] = LOAD(b + w * panel);                                           \
  UNROLLED for (size_t m = 0; m < COUNT; m++)                                                                         \
    UNROLLED for (size_t w = 0; w < WIDTH; w++) sums[m][w] += rows[m / 3][m % 3 * am] * row[w];                       \
  UNROLLED for (size_t i = 0; i < (COUNT + 2) / 3; i++) rows[i] += ak;                                                \
  b += ldb;

// c[m, n] (+)= Σ a[m, p] b[p, n] for COUNT rows and WIDTH vectors; sums begin with `start` of their row, if there is one.
// Element (m, p) of a lies at m * am + p * ak, one of which is 1; b in panels of a vector's columns, whose rows lie ldb apart
// and which begin `panel` apart; rows of c lie ldc apart. What will be written is fetched while the sums are made.
//
// A multiplication should cost few instructions besides itself: where another thread has the other half of the core, they
// are what limits it. So three rows of a share an address, a turn of the loop takes four p, and all constants are literal.
// With something `ahead`, each of the first turns fetches two lines of it.
#define BLOCK(BLOCK_NAME, COUNT, WIDTH)                                                                               \
  STATIC void BLOCK_NAME(size_t depth, const float *a, size_t am, size_t ak, const float *b, size_t ldb, size_t panel, \
                         float *c, size_t ldc, int adds, const float *start, runs ahead) {                            \
    lanes sums[COUNT][WIDTH];                                                                                         \
    const float *rows[(COUNT + 2) / 3];                                                                               \
    UNROLLED for (size_t m = 0; m < COUNT; m++) {                                                                     \
      UNROLLED for (size_t w = 0; w < WIDTH; w++) {                                                                   \
        __builtin_prefetch(c + m * ldc + 16 * w, 1);                                                                  \
        sums[m][w] = adds ? LOAD(c + m * ldc + 16 * w) : start ? (lanes){0} + start[m] : (lanes){0};                  \
      }                                                                                                               \
      if (m % 3 == 0) rows[m / 3] = a + m * am;                                                                       \
    }                                                                                                                 \
    if (am != 1) { UNROLLED for (size_t i = 0; i < (COUNT + 2) / 3; i++) HIDE(rows[i]); }                             \
    size_t p = 0;                                                                                                     \
    for (size_t run = 0; ahead.first && run < RUNS; run++, ahead.first += ahead.apart) {                              \
      const float *line = ahead.first;                                                                                \
      for (size_t end = p + depth / (4 * RUNS) * 4; p < end; p += 4, line += 32) {                                    \
        __builtin_prefetch(line, 0, 2);                                                                               \
        __builtin_prefetch(line + 16, 0, 2);                                                                          \
        UNROLLED for (size_t q = 0; q < 4; q++) { STEP(COUNT, WIDTH) }                                                \
      }                                                                                                               \
    }                                                                                                                 \
    for (; p + 4 <= depth; p += 4) {                                                                                  \
      UNROLLED for (size_t q = 0; q < 4; q++) { STEP(COUNT, WIDTH) }                                                  \
    }                                                                                                                 \
    for (; p < depth; p++) { STEP(COUNT, WIDTH) }                                                                     \
    UNROLLED for (size_t m = 0; m < COUNT; m++)                                                                       \
      UNROLLED for (size_t w = 0; w < WIDTH; w++) STORE(c + m * ldc + 16 * w, sums[m][w]);                            \
  }
// And for all rows of c; strides that are mostly the same are literals.
#define STRIP(WIDTH)                                                                                                  \
  BLOCK(NAME(one_row_##WIDTH), 1, WIDTH)                                                                              \
  BLOCK(NAME(half_##WIDTH), ROWS / 2, WIDTH)                                                                          \
  BLOCK(NAME(rows_##WIDTH), ROWS, WIDTH)                                                                              \
  STATIC void NAME(all_rows_##WIDTH)(size_t m, size_t k, const float *a, size_t am, size_t ak, const float *b,        \
                                     size_t ldb, size_t panel, float *c, size_t ldc, int adds, const float *start,    \
                                     upcoming *next) {                                                                \
    size_t i = 0;                                                                                                     \
    for (; i + ROWS <= m; i += ROWS)                                                                                  \
      NAME(rows_##WIDTH)(k, a + i * am, am, ak, b, ldb, panel, c + i * ldc, ldc, adds, start ? start + i : 0,         \
                         next ? next_runs(next) : NOTHING);                                                           \
    for (; i + ROWS / 2 <= m; i += ROWS / 2)                                                                          \
      NAME(half_##WIDTH)(k, a + i * am, am, ak, b, ldb, panel, c + i * ldc, ldc, adds, start ? start + i : 0, NOTHING); \
    for (; i < m; i++)                                                                                                \
      NAME(one_row_##WIDTH)(k, a + i * am, am, ak, b, ldb, panel, c + i * ldc, ldc, adds, start ? start + i : 0, NOTHING); \
  }                                                                                                                   \
  TARGET static void NAME(strip_##WIDTH)(size_t m, size_t k, const float *a, size_t am, size_t ak, const float *b,    \
                                         size_t ldb, size_t panel, float *c, size_t ldc, int adds,                    \
                                         const float *start, upcoming *next) {                                        \
    if (next) {                                                                                                       \
      NAME(all_rows_##WIDTH)(m, k, a, am, 1, b, 16, panel, c, ldc, adds, start, next);                                \
    } else if (am == 1) {                                                                                             \
      NAME(all_rows_##WIDTH)(m, k, a, 1, ak, b, ldb, panel, c, ldc, adds, start, 0);                                  \
    } else if (ldb == 16) {                                                                                           \
      NAME(all_rows_##WIDTH)(m, k, a, am, 1, b, 16, panel, c, ldc, adds, start, 0);                                   \
    } else {                                                                                                          \
      NAME(all_rows_##WIDTH)(m, k, a, am, 1, b, ldb, 16, c, ldc, adds, start, 0);                                     \
    }                                                                                                                 \
  }
STRIP(1)
#if WIDEST > 1
STRIP(2)
STRIP(3)
#endif

// c (+)= a b; n is 16 times `vectors`. What comes `next` may be fetched where am is not 1 and rows of b are 16 apart.
TARGET static void NAME(product)(size_t m, size_t vectors, size_t k, const float *a, size_t am, size_t ak, const float *b,
                                 size_t ldb, size_t panel, float *c, size_t ldc, int adds, const float *start,
                                 upcoming *next) {
#if WIDEST > 1
  while (vectors > 1) {
    size_t width = vectors == 2 || vectors == 4 ? 2 : 3;
    (width == 2 ? NAME(strip_2) : NAME(strip_3))(m, k, a, am, ak, b, ldb, panel, c, ldc, adds, start, next);
    vectors -= width;
    b += panel * width;
    c += 16 * width;
  }
#endif
  for (; vectors > 0; vectors--, b += panel, c += 16)
    NAME(strip_1)(m, k, a, am, ak, b, ldb, panel, c, ldc, adds, start, next);
}
