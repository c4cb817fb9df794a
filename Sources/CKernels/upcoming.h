// What a product fetches into the second cache for the next one, two lines in each turn of its loops: operands in the third
// cache or in memory would be waited for at the beginning of every page, where the processor's own look-ahead ends.
#pragma once
#include <stddef.h>

// Runs that a block of a product fetches.
#define RUNS 8

// The first of them, if there are any; they begin `apart` floats apart, and each is as long as the product is deep.
typedef struct {
  const float *first;
  size_t apart;
} runs;
static const runs NOTHING = {0, 0};

// Operands of the next product, of the same shape and strides: rows of a, `am` apart, and as many runs of b as it has
// columns, 16 to a panel.
typedef struct {
  const float *a, *b;
  size_t rows, columns, am, panel, depth;
} upcoming;

static inline runs next_runs(upcoming *next) {
  if (next->rows > 0) {
    runs taken = {next->a, next->am};
    next->a += RUNS * next->am;
    next->rows -= next->rows < RUNS ? next->rows : RUNS;
    return taken;
  }
  if (next->columns == 0) return NOTHING;
  runs taken = {next->b, next->depth};
  // Two takes end a panel.
  next->b += next->columns % 16 == 0 ? RUNS * next->depth : next->panel - RUNS * next->depth;
  next->columns -= RUNS;
  return taken;
}
