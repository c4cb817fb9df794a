// Weights as 16-bit keys that ascend with the value. They are recomputed wherever they are needed (0.1 ns a weight) instead of
// being kept (2 bytes a weight).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A key is `scale * x` as IEEE binary16 with its bits rearranged, or as an integer above 32,768; then 0 and 65,535 are for all
/// that lies beyond.
typedef struct {
  float scale;
  bool integers;
} sd_rounding;

/// counts[key of x[i]] += 1, 65,536 counts.
void sd_count_keys(const float *x, sd_rounding to, uint32_t *counts, size_t count);
/// Writes the keys whose count is not zero, ascending, and returns how many they are.
size_t sd_occupied_keys(const uint32_t *counts, uint16_t *keys);
/// The same of few weights at once: their keys, ascending, and how many have each; returns how many keys there are.
size_t sd_distinct_keys(const float *x, sd_rounding to, uint16_t *keys, uint32_t *each, size_t count);
/// Σ mass, the mean Σ mass · value / Σ mass, and the variance about it.
void sd_weighted_moments(const double *values, const double *masses, size_t count, double *total, double *mean,
                         double *variance);
/// values[i] = the middle of what key[i] stands for.
void sd_key_values(const uint16_t *key, sd_rounding to, double *values, size_t count);
/// y[row, column] = table[key of x[row * pitch + column]].
void sd_gather_by_key(const float *x, size_t pitch, sd_rounding to, const float *table, float *y, size_t rows,
                      size_t columns);
/// The same by the code for a processor of that level.
void sd_gather_by_key_on(int level, const float *x, size_t pitch, sd_rounding to, const float *table, float *y, size_t rows,
                         size_t columns);
/// y[i] = table[key of x[i]].
void sd_gather_bytes_by_key(const float *x, sd_rounding to, const uint8_t *table, uint8_t *y, size_t count);
/// sums[key of x[i]] += dy[i].
void sd_scatter_by_key(const float *x, sd_rounding to, const float *dy, float *sums, size_t count);
/// dx[i] = gain * dy[i] + shared, (gain, shared) = pairs[key of x[i]].
void sd_affine_by_key(const float *x, sd_rounding to, const float *pairs, const float *dy, float *dx, size_t count);
