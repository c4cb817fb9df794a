#include "vector_assignment.h"
#include "vector_math.h"

enum { MOST = 256, WIDEST = 8, BLOCK = 256 };

#define REASSOCIATE _Pragma("clang fp reassociate(on)")

// Vectors by component, padded to whole lanes.
typedef struct {
  float of[WIDEST][MOST];
} columns;

SD_INLINE int sd_padded(int k) { return (k + 15) / 16 * 16; }

SD_INLINE void sd_turn(const float *vectors, int k, int dimension, columns *turned) {
  for (int e = 0; e < dimension; e++)
    for (int j = 0; j < sd_padded(k); j++) turned->of[e][j] = j < k ? vectors[j * dimension + e] : 0;
}

SD_INLINE void sd_attend(const sd_vectors *s, const columns *c, const float *x, float *a) {
  const int padded = sd_padded(s->k);
  for (int j = 0; j < padded; j++) a[j] = 0;
  for (int e = 0; e < s->dimension; e++)
    for (int j = 0; j < padded; j++) {
      const float d = x[e] - c->of[e][j];
      a[j] += d * d;
    }
  float least = a[0], total = 0;
  for (int j = 1; j < s->k; j++) least = a[j] < least ? a[j] : least;
  for (int j = 0; j < padded; j++) a[j] = sd_expf((least - a[j]) * s->inverse);
  for (int j = s->k; j < padded; j++) a[j] = 0;
  for (int j = 0; j < padded; j++) {
    REASSOCIATE
    total += a[j];
  }
  total = 1 / total;
  for (int j = 0; j < padded; j++) a[j] *= total;
}

// What a block of vectors adds up for each centroid, in single precision.
typedef struct {
  float weight[MOST];
  columns first, second;
} sums;

SD_INLINE void sd_add(int k, int dimension, const columns *block, double *total) {
  for (int j = 0; j < k; j++)
    for (int e = 0; e < dimension; e++) total[j * dimension + e] += block->of[e][j];
}

SD_CLONES void sd_vectors_moments(sd_vectors s, double *sum, double *moment) {
  columns c;
  float a[MOST];
  sd_turn(s.centroids, s.k, s.dimension, &c);
  const int padded = sd_padded(s.k);
  for (ptrdiff_t start = 0; start < s.count; start += BLOCK) {
    sums block = {0};
    const ptrdiff_t end = start + BLOCK < s.count ? start + BLOCK : s.count;
    for (ptrdiff_t i = start; i < end; i++) {
      const float *x = s.x + i * s.dimension;
      sd_attend(&s, &c, x, a);
      for (int j = 0; j < padded; j++) block.weight[j] += a[j];
      for (int e = 0; e < s.dimension; e++)
        for (int j = 0; j < padded; j++) block.first.of[e][j] += a[j] * (x[e] - c.of[e][j]);
    }
    for (int j = 0; j < s.k; j++) sum[j] += block.weight[j];
    sd_add(s.k, s.dimension, &block.first, moment);
  }
}

SD_CLONES void sd_vectors_mix(sd_vectors s, const float *targets, float *y) {
  columns c, t;
  float a[MOST];
  sd_turn(s.centroids, s.k, s.dimension, &c);
  sd_turn(targets, s.k, s.dimension, &t);
  const int padded = sd_padded(s.k);
  for (ptrdiff_t i = 0; i < s.count; i++) {
    sd_attend(&s, &c, s.x + i * s.dimension, a);
    for (int e = 0; e < s.dimension; e++) {
      float mixed = 0;
      for (int j = 0; j < padded; j++) {
        REASSOCIATE
        mixed += a[j] * t.of[e][j];
      }
      y[i * s.dimension + e] = mixed;
    }
  }
}

// σ_ij from p_ij, in place.
SD_INLINE void sd_center(const float *a, float *p, int padded) {
  float mean = 0;
  for (int j = 0; j < padded; j++) {
    REASSOCIATE
    mean += a[j] * p[j];
  }
  for (int j = 0; j < padded; j++) p[j] = a[j] * (p[j] - mean);
}

// Σ_j σ_ij q_ij of one component, added to the centroids' as well.
SD_INLINE float sd_path(const float *sigma, const float *c, float x, float inverse, float *centroid, int padded) {
  float own = 0;
  for (int j = 0; j < padded; j++) {
    REASSOCIATE
    const float pull = sigma[j] * 2 * (x - c[j]) * inverse;
    own += pull;
    centroid[j] += pull;
  }
  return own;
}

SD_CLONES void sd_vectors_pullback_iteration(sd_vectors s, const float *targets, const float *slopes, float *dx,
                                             double *centroid) {
  columns c, t, r;
  float a[MOST], p[MOST];
  sd_turn(s.centroids, s.k, s.dimension, &c);
  sd_turn(targets, s.k, s.dimension, &t);
  sd_turn(slopes, s.k, s.dimension, &r);
  const int padded = sd_padded(s.k);
  for (ptrdiff_t start = 0; start < s.count; start += BLOCK) {
    columns block = {0};
    const ptrdiff_t end = start + BLOCK < s.count ? start + BLOCK : s.count;
    for (ptrdiff_t i = start; i < end; i++) {
      const float *x = s.x + i * s.dimension;
      sd_attend(&s, &c, x, a);
      for (int j = 0; j < padded; j++) p[j] = 0;
      for (int e = 0; e < s.dimension; e++)
        for (int j = 0; j < padded; j++) p[j] += r.of[e][j] * (x[e] - t.of[e][j]);
      sd_center(a, p, padded);
      for (int e = 0; e < s.dimension; e++) {
        float direct = 0;
        for (int j = 0; j < padded; j++) {
          REASSOCIATE
          direct += a[j] * r.of[e][j];
        }
        dx[i * s.dimension + e] += direct - sd_path(p, c.of[e], x[e], s.inverse, block.of[e], padded);
      }
    }
    sd_add(s.k, s.dimension, &block, centroid);
  }
}

SD_CLONES void sd_vectors_pullback_readout(sd_vectors s, const float *targets, const float *dy, float bound,
                                           float *dx, double *target, double *centroid) {
  columns c, t;
  float a[MOST], p[MOST];
  sd_turn(s.centroids, s.k, s.dimension, &c);
  sd_turn(targets, s.k, s.dimension, &t);
  const int padded = sd_padded(s.k);
  for (ptrdiff_t start = 0; start < s.count; start += BLOCK) {
    sums block = {0};
    const ptrdiff_t end = start + BLOCK < s.count ? start + BLOCK : s.count;
    for (ptrdiff_t i = start; i < end; i++) {
      const float *x = s.x + i * s.dimension, *g = dy + i * s.dimension;
      float *out = dx + i * s.dimension, length = 0, given = 0;
      sd_attend(&s, &c, x, a);
      for (int j = 0; j < padded; j++) p[j] = 0;
      for (int e = 0; e < s.dimension; e++)
        for (int j = 0; j < padded; j++) {
          p[j] += g[e] * t.of[e][j];
          block.first.of[e][j] += a[j] * g[e];
        }
      sd_center(a, p, padded);
      for (int e = 0; e < s.dimension; e++) {
        out[e] = -sd_path(p, c.of[e], x[e], s.inverse, block.second.of[e], padded);
        length += out[e] * out[e];
        given += g[e] * g[e];
      }
      const float limit = bound * bound * given;
      const float factor = length > limit ? sqrtf(limit / length) : 1;
      for (int e = 0; e < s.dimension; e++) out[e] *= factor;
    }
    sd_add(s.k, s.dimension, &block.first, target);
    sd_add(s.k, s.dimension, &block.second, centroid);
  }
}
