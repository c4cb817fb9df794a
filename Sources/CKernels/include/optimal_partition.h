// Exact one-dimensional k-means: where to cut ascending values so that the summed squared error is least.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Writes the first index of each of `k` cells; masses are positive, 1 <= k <= count <= 65,536.
/// `scratch` has 8 (count + 1) doubles, `cuts` k (count + 1) entries.
void sd_optimal_partition(const double *values, const double *masses, size_t count, size_t k, size_t *starts,
                          double *scratch, uint16_t *cuts);
