#include "palette_entries.h"
#include "vector_lanes.h"
#include <string.h>

enum { TABLES = 4 };

SD_INLINE void sd_nearest_of(int dimension, const float *x, ptrdiff_t count, const float *table, int entries,
                             uint8_t *nearest) {
  for (ptrdiff_t start = 0; start < count; start += LANES) {
    float lanes[WIDEST][LANES], least[LANES], distance[LANES];
    int32_t best[LANES];
    sd_side_by_side(x + start * dimension, count - start, dimension, lanes);
    for (int i = 0; i < LANES; i++) least[i] = __builtin_inff(), best[i] = 0;
    for (int j = 0; j < entries; j++) {
      sd_squared_distances(lanes, table + j * dimension, dimension, distance);
      for (int i = 0; i < LANES; i++) {
        best[i] = distance[i] < least[i] ? j : best[i];
        least[i] = distance[i] < least[i] ? distance[i] : least[i];
      }
    }
    for (int i = 0; i < LANES && start + i < count; i++) nearest[start + i] = (uint8_t)best[i];
  }
}

SD_CLONES void sd_nearest_vectors(const float *x, ptrdiff_t count, const float *table, int entries, int dimension,
                                  uint8_t *nearest) {
  SD_BY_DIMENSION(sd_nearest_of, dimension, x, count, table, entries, nearest)
}

// Entries in ascending order and what lies halfway between neighbours, infinity behind the last.
typedef struct {
  uint8_t order[MOST];
  float midpoints[MOST];
  int span;        // a power of two, not below the number of entries
  int is_ordered;  // whether entries ascend as they are, no two equal
} ladder;

SD_INLINE ladder sd_ladder(const float *table, int entries) {
  ladder l = {.span = 1, .is_ordered = 1};
  while (l.span < entries) l.span *= 2;
  // By insertion: entries mostly ascend already.
  for (int j = 0; j < entries; j++) {
    int at = j;
    for (; at > 0 && table[l.order[at - 1]] > table[j]; at--) l.order[at] = l.order[at - 1];
    l.order[at] = (uint8_t)j;
  }
  for (int j = 0; j < l.span; j++)
    l.midpoints[j] = j + 1 < entries ? (table[l.order[j]] + table[l.order[j + 1]]) / 2 : __builtin_inff();
  for (int j = 1; j < entries; j++)
    if (table[l.order[j]] == table[l.order[j - 1]]) l.order[j] = l.order[j - 1];
  for (int j = 0; j < entries; j++) l.is_ordered &= l.order[j] == j;
  return l;
}

typedef float numbers __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t places __attribute__((vector_size(4 * LANES), aligned(4)));

// A number's place is how many midpoints are below it: counted where they are few, found by halving where they are many.
SD_INLINE void sd_places_of(int span, const ladder *l, const float *x, int32_t *at) {
  if (span <= 16) {
    const numbers v = *(const numbers *)x;
    places below = {0};
    for (int j = 0; j < span - 1; j++) below -= v > l->midpoints[j];
    *(places *)at = below;
  } else {
    for (int i = 0; i < LANES; i++) at[i] = 0;
    for (int step = span / 2; step > 0; step /= 2)
      for (int i = 0; i < LANES; i++) at[i] += x[i] > l->midpoints[at[i] + step - 1] ? step : 0;
  }
}

SD_INLINE void sd_nearest_in(int span, const ladder *l, const float *x, ptrdiff_t count, uint8_t *nearest) {
  for (ptrdiff_t start = 0; start < count; start += LANES) {
    float lanes[WIDEST][LANES];
    int32_t at[LANES];
    sd_side_by_side(x + start, count - start, 1, lanes);
    sd_places_of(span, l, lanes[0], at);
    if (l->is_ordered && count - start >= LANES)
      for (int i = 0; i < LANES; i++) nearest[start + i] = (uint8_t)at[i];
    else
      for (int i = 0; i < LANES && start + i < count; i++) nearest[start + i] = l->order[at[i]];
  }
}

SD_CLONES void sd_nearest_numbers(const float *x, ptrdiff_t count, const float *table, int entries, uint8_t *nearest) {
  const ladder l = sd_ladder(table, entries);
  switch (l.span) {
  case 1: memset(nearest, l.order[0], count); break;
  case 2: sd_nearest_in(2, &l, x, count, nearest); break;
  case 4: sd_nearest_in(4, &l, x, count, nearest); break;
  case 8: sd_nearest_in(8, &l, x, count, nearest); break;
  case 16: sd_nearest_in(16, &l, x, count, nearest); break;
  default: sd_nearest_in(l.span, &l, x, count, nearest); break;
  }
}

SD_INLINE void sd_nearer_of(int dimension, const float *x, ptrdiff_t count, const float *entry, float *distance,
                            double *total) {
  for (ptrdiff_t start = 0; start < count; start += LANES) {
    float lanes[WIDEST][LANES], here[LANES], sum = 0;
    sd_side_by_side(x + start * dimension, count - start, dimension, lanes);
    sd_squared_distances(lanes, entry, dimension, here);
    const int length = count - start < LANES ? (int)(count - start) : LANES;
    for (int i = 0; i < length; i++) {
#pragma clang fp reassociate(on)
      float *d = distance + start + i;
      *d = here[i] < *d ? here[i] : *d;
      sum += *d;
    }
    *total += sum;
  }
}

SD_CLONES double sd_nearer(const float *x, ptrdiff_t count, const float *entry, int dimension, float *distance) {
  double total = 0;
  SD_BY_DIMENSION(sd_nearer_of, dimension, x, count, entry, distance, &total)
  return total;
}

SD_INLINE int sd_largest(const uint8_t *index, ptrdiff_t count) {
  uint8_t largest = 0;
  for (ptrdiff_t i = 0; i < count; i++) largest = index[i] > largest ? index[i] : largest;
  return largest;
}

SD_INLINE void sd_gather_of(int dimension, const float *table, const uint8_t *index, ptrdiff_t count, float *y) {
  for (ptrdiff_t i = 0; i < count; i++)
    for (int e = 0; e < dimension; e++) y[i * dimension + e] = table[index[i] * dimension + e];
}

SD_CLONES int sd_gather_entries(const float *table, int entries, const uint8_t *index, ptrdiff_t count, int dimension,
                                float *y) {
  const int largest = sd_largest(index, count);
  if (largest < entries) SD_BY_DIMENSION(sd_gather_of, dimension, table, index, count, y)
  return largest;
}

// Neighbours add to tables of their own: one that has just been added to is not there yet.
SD_INLINE void sd_sum_of(int dimension, const float *x, const uint8_t *index, ptrdiff_t count, int entries,
                         double *counts, double *sums) {
  double number[TABLES][MOST], sum[TABLES][MOST * WIDEST];
  for (int t = 0; t < TABLES; t++) {
    memset(number[t], 0, entries * sizeof(double));
    memset(sum[t], 0, entries * dimension * sizeof(double));
  }
  for (ptrdiff_t i = 0; i < count; i++) {
    const int t = i % TABLES, j = index[i];
    number[t][j] += 1;
    for (int e = 0; e < dimension; e++) sum[t][j * dimension + e] += x[i * dimension + e];
  }
  for (int t = 0; t < TABLES; t++) {
    for (int j = 0; j < entries; j++) counts[j] += number[t][j];
    for (int n = 0; n < entries * dimension; n++) sums[n] += sum[t][n];
  }
}

SD_CLONES int sd_sum_entries(const float *x, const uint8_t *index, ptrdiff_t count, int entries, int dimension,
                             double *counts, double *sums) {
  const int largest = sd_largest(index, count);
  if (largest < entries) SD_BY_DIMENSION(sd_sum_of, dimension, x, index, count, entries, counts, sums)
  return largest;
}
