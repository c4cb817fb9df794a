// Vectors of sixteen floats, and the names of code for each instruction set.
#pragma once
#include <stddef.h>

typedef float lanes __attribute__((vector_size(64)));
typedef float loose __attribute__((vector_size(64), aligned(4)));
typedef float chosen __attribute__((ext_vector_type(16)));
typedef int integers __attribute__((vector_size(64)));
#define LOAD(p) (*(const loose *)(p))
#define STORE(p, v) (*(loose *)(p) = (v))

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
