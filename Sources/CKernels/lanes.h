// Vectors of sixteen floats, and the names of code for each instruction set.
#pragma once
#include <stddef.h>

typedef float lanes __attribute__((vector_size(64)));
typedef float loose __attribute__((vector_size(64), aligned(4)));
typedef float chosen __attribute__((ext_vector_type(16)));
typedef int integers __attribute__((vector_size(64)));
#define LOAD(p) (*(const loose *)(p))
#define STORE(p, v) (*(loose *)(p) = (v))
// The first eight.
typedef float half_of_lanes __attribute__((vector_size(32), aligned(4)));
#define STORE_HALF(p, v) (*(half_of_lanes *)(p) = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7))
#define UNROLLED _Pragma("clang loop unroll(full)")

#define JOINED(a, b) a##b
#define NAME_BASELINE(x) JOINED(baseline_, x)
#define NAME_V3(x) JOINED(v3_, x)
#define NAME_V4(x) JOINED(v4_, x)

// Halves of a vector change places, then quarters and so on: every lane ends with the reduction of all.
#define REDUCE_LANES(v, combine)                                                                        \
  do {                                                                                                  \
    v = combine(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)); \
    v = combine(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)); \
    v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)); \
    v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)); \
  } while (0)
// The larger of each pair of lanes, y where one is no number: a single instruction, which clang's own maximum is not.
#define LARGER(x, y) ({ chosen a_ = (chosen)(x), b_ = (chosen)(y); (lanes)(a_ > b_ ? a_ : b_); })
#define PLUS(x, y) ((x) + (y))

// Turns 16 vectors around: lanes `d` apart change places with vectors `d` apart, for d = 8, 4, 2, 1.
#define EXCHANGE(d, low, high)                                                       \
  UNROLLED for (int i = 0; i < 16; i++)                                              \
    if (!(i & d)) {                                                                  \
      lanes x = rows[i], y = rows[i + d];                                            \
      rows[i] = low, rows[i + d] = high;                                             \
    }
static inline __attribute__((always_inline)) void turn(lanes *rows) {
  EXCHANGE(8, __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
           __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
  EXCHANGE(4, __builtin_shufflevector(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
           __builtin_shufflevector(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  EXCHANGE(2, __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
           __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  EXCHANGE(1, __builtin_shufflevector(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
           __builtin_shufflevector(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
}
