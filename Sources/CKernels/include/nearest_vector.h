// The nearest of a few vectors.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// For each of `count` vectors `x[count][dimension]` the number of the nearest of `entries` (at most 256) vectors
/// `table[entries][dimension]`; of equally near ones, the first. `dimension` is at most 8.
void sd_nearest_vectors(const float *x, ptrdiff_t count, const float *table, int entries, int dimension,
                        uint8_t *nearest);
