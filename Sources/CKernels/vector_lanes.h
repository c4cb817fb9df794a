// Vectors side by side: their components in lanes, so that what is done for each vector needs no sums across lanes.
#pragma once
#include "clones.h"
#include <stddef.h>

enum { MOST = 256, WIDEST = 8, LANES = 16 };

/// `[dimension][LANES]`; behind the last vector it stands again.
SD_INLINE void sd_side_by_side(const float *x, ptrdiff_t count, int dimension, float lanes[WIDEST][LANES]) {
  if (count >= LANES) {
    for (int e = 0; e < dimension; e++)
      for (int i = 0; i < LANES; i++) lanes[e][i] = x[i * dimension + e];
  } else {
    for (int e = 0; e < dimension; e++)
      for (int i = 0; i < LANES; i++) lanes[e][i] = x[(i < count ? i : count - 1) * dimension + e];
  }
}

SD_INLINE void sd_squared_distances(float x[WIDEST][LANES], const float *centroid, int dimension, float *distance) {
  for (int i = 0; i < LANES; i++) distance[i] = 0;
  for (int e = 0; e < dimension; e++)
    for (int i = 0; i < LANES; i++) {
      const float d = x[e][i] - centroid[e];
      distance[i] += d * d;
    }
}

// Calls a function with the dimensions that occur as constants, so that loops over them become registers.
#define SD_BY_DIMENSION(function, dimension, ...)   \
  switch (dimension) {                              \
  case 1: function(1, __VA_ARGS__); break;          \
  case 2: function(2, __VA_ARGS__); break;          \
  case 4: function(4, __VA_ARGS__); break;          \
  default: function(dimension, __VA_ARGS__); break; \
  }
