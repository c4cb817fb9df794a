// Vectors as entries of a table `[entries][dimension]`, at most 256 of at most 8 numbers.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// For each of `count` vectors `x[count][dimension]` the number of the nearest entry; of equally near ones, the first.
void sd_nearest_vectors(const float *x, ptrdiff_t count, const float *table, int entries, int dimension,
                        uint8_t *nearest);
/// The same of single numbers.
void sd_nearest_numbers(const float *x, ptrdiff_t count, const float *table, int entries, uint8_t *nearest);
/// distance[i] = min(distance[i], |x_i - entry|²); returns their sum.
double sd_nearer(const float *x, ptrdiff_t count, const float *entry, int dimension, float *distance);
/// y_i = table[index_i]; returns the largest index, and writes nothing if it is not below `entries`.
int sd_gather_entries(const float *table, int entries, const uint8_t *index, ptrdiff_t count, int dimension, float *y);
/// count_j += vectors whose index is j, sum_j += Σ of them; the same return.
int sd_sum_entries(const float *x, const uint8_t *index, ptrdiff_t count, int entries, int dimension, double *counts,
                   double *sums);
