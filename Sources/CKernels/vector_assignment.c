#include "vector_assignment.h"
#include "vector_lanes.h"
#include "vector_math.h"

enum { BLOCK = 64 * LANES };

// Vectors side by side and their attention.
typedef struct {
  ptrdiff_t count;  // of lanes that hold a vector; the others attend to nothing
  float x[WIDEST][LANES], a[MOST][LANES];
} group;

// What the vectors of a block add up for each component of each centroid, lane by lane.
typedef struct {
  float of[MOST * WIDEST][LANES];
} sums;

SD_INLINE void sd_clear(sums *s, int count) { memset(s, 0, count * sizeof s->of[0]); }

SD_INLINE void sd_add(const sums *block, int count, double *total) {
  for (int n = 0; n < count; n++) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) {
#pragma clang fp reassociate(on)
      sum += block->of[n][i];
    }
    total[n] += sum;
  }
}

// What is less than exp(-32) of the nearest centroid's attention counts as none, since it cannot be seen beside it. Kept
// down to exp(-87), most attention times a gradient would be no normal float, which costs more than the rest of a pass.
SD_INLINE float sd_attention_of(float logit) { return logit < -32 ? 0 : sd_expf(logit); }

// Of two centroids, from squared distances: one exponential is enough.
SD_INLINE void sd_attend_to_two(float inverse, group *g) {
  for (int i = 0; i < LANES; i++) {
    const float ahead = (g->a[1][i] - g->a[0][i]) * inverse;
    const float less = sd_attention_of(-__builtin_fabsf(ahead));
    const float nearer = i < g->count ? 1 / (1 + less) : 0;
    g->a[0][i] = ahead < 0 ? nearer * less : nearer;
    g->a[1][i] = ahead < 0 ? nearer : nearer * less;
  }
}

SD_INLINE void sd_attend(int dimension, const sd_vectors *s, ptrdiff_t start, group *g) {
  float least[LANES], total[LANES];
  g->count = s->count - start < LANES ? s->count - start : LANES;
  sd_side_by_side(s->x + start * dimension, g->count, dimension, g->x);
  for (int i = 0; i < LANES; i++) least[i] = INFINITY, total[i] = 0;
  for (int j = 0; j < s->k; j++) {
    sd_squared_distances(g->x, s->centroids + j * dimension, dimension, g->a[j]);
    for (int i = 0; i < LANES; i++) least[i] = g->a[j][i] < least[i] ? g->a[j][i] : least[i];
  }
  if (s->k == 2) {
    sd_attend_to_two(s->inverse, g);
    return;
  }
  for (int j = 0; j < s->k; j++)
    for (int i = 0; i < LANES; i++) {
      g->a[j][i] = sd_attention_of((least[i] - g->a[j][i]) * s->inverse);
      total[i] += g->a[j][i];
    }
  for (int i = 0; i < LANES; i++) total[i] = i < g->count ? 1 / total[i] : 0;
  for (int j = 0; j < s->k; j++)
    for (int i = 0; i < LANES; i++) g->a[j][i] *= total[i];
}

SD_INLINE void sd_moments(int dimension, sd_vectors s, double *sum, double *moment) {
  group g;
  sums weight, first;
  for (ptrdiff_t start = 0; start < s.count; start += BLOCK) {
    sd_clear(&weight, s.k);
    sd_clear(&first, s.k * dimension);
    for (ptrdiff_t at = start; at < start + BLOCK && at < s.count; at += LANES) {
      sd_attend(dimension, &s, at, &g);
      for (int j = 0; j < s.k; j++) {
        for (int i = 0; i < LANES; i++) weight.of[j][i] += g.a[j][i];
        for (int e = 0; e < dimension; e++)
          for (int i = 0; i < LANES; i++)
            first.of[j * dimension + e][i] += g.a[j][i] * (g.x[e][i] - s.centroids[j * dimension + e]);
      }
    }
    sd_add(&weight, s.k, sum);
    sd_add(&first, s.k * dimension, moment);
  }
}

SD_INLINE void sd_mix(int dimension, sd_vectors s, const float *targets, float *y) {
  group g;
  for (ptrdiff_t at = 0; at < s.count; at += LANES) {
    float mixed[WIDEST][LANES] = {0};
    sd_attend(dimension, &s, at, &g);
    for (int j = 0; j < s.k; j++)
      for (int e = 0; e < dimension; e++)
        for (int i = 0; i < LANES; i++) mixed[e][i] += g.a[j][i] * targets[j * dimension + e];
    for (int i = 0; i < g.count; i++)
      for (int e = 0; e < dimension; e++) y[(at + i) * dimension + e] = mixed[e][i];
  }
}

// Each vector's Σ_j σ_ij q_ij from p_ij, which is added to the centroids' as well.
SD_INLINE void sd_paths(int dimension, const sd_vectors *s, const group *g, float p[MOST][LANES],
                        float own[WIDEST][LANES], sums *centroids) {
  float mean[LANES] = {0};
  for (int j = 0; j < s->k; j++)
    for (int i = 0; i < LANES; i++) mean[i] += g->a[j][i] * p[j][i];
  for (int e = 0; e < dimension; e++)
    for (int i = 0; i < LANES; i++) own[e][i] = 0;
  for (int j = 0; j < s->k; j++)
    for (int e = 0; e < dimension; e++)
      for (int i = 0; i < LANES; i++) {
        const float sigma = g->a[j][i] * (p[j][i] - mean[i]);
        const float pull = sigma * 2 * (g->x[e][i] - s->centroids[j * dimension + e]) * s->inverse;
        own[e][i] += pull;
        centroids->of[j * dimension + e][i] += pull;
      }
}

SD_INLINE void sd_pullback_iteration(int dimension, sd_vectors s, const float *targets, const float *slopes, float *dx,
                                     double *centroid) {
  group g;
  sums block;
  float p[MOST][LANES], own[WIDEST][LANES];
  for (ptrdiff_t start = 0; start < s.count; start += BLOCK) {
    sd_clear(&block, s.k * dimension);
    for (ptrdiff_t at = start; at < start + BLOCK && at < s.count; at += LANES) {
      float direct[WIDEST][LANES] = {0};
      sd_attend(dimension, &s, at, &g);
      for (int j = 0; j < s.k; j++) {
        for (int i = 0; i < LANES; i++) p[j][i] = 0;
        for (int e = 0; e < dimension; e++) {
          const float slope = slopes[j * dimension + e], target = targets[j * dimension + e];
          for (int i = 0; i < LANES; i++) {
            p[j][i] += slope * (g.x[e][i] - target);
            direct[e][i] += g.a[j][i] * slope;
          }
        }
      }
      sd_paths(dimension, &s, &g, p, own, &block);
      for (int i = 0; i < g.count; i++)
        for (int e = 0; e < dimension; e++) dx[(at + i) * dimension + e] += direct[e][i] - own[e][i];
    }
    sd_add(&block, s.k * dimension, centroid);
  }
}

SD_INLINE void sd_pullback_readout(int dimension, sd_vectors s, const float *targets, const float *dy, float bound,
                                   float *dx, double *target, double *centroid, ptrdiff_t *shortened) {
  group g;
  sums first, second;
  float p[MOST][LANES], own[WIDEST][LANES], given[WIDEST][LANES];
  for (ptrdiff_t start = 0; start < s.count; start += BLOCK) {
    sd_clear(&first, s.k * dimension);
    sd_clear(&second, s.k * dimension);
    for (ptrdiff_t at = start; at < start + BLOCK && at < s.count; at += LANES) {
      sd_attend(dimension, &s, at, &g);
      sd_side_by_side(dy + at * dimension, g.count, dimension, given);
      for (int j = 0; j < s.k; j++) {
        for (int i = 0; i < LANES; i++) p[j][i] = 0;
        for (int e = 0; e < dimension; e++)
          for (int i = 0; i < LANES; i++) {
            p[j][i] += given[e][i] * targets[j * dimension + e];
            first.of[j * dimension + e][i] += g.a[j][i] * given[e][i];
          }
      }
      sd_paths(dimension, &s, &g, p, own, &second);
      float length[LANES] = {0}, limit[LANES] = {0}, factor[LANES];
      for (int e = 0; e < dimension; e++)
        for (int i = 0; i < LANES; i++) {
          length[i] += own[e][i] * own[e][i];
          limit[i] += given[e][i] * given[e][i] * bound * bound;
        }
      for (int i = 0; i < LANES; i++) {
        factor[i] = length[i] > limit[i] ? __builtin_elementwise_sqrt(limit[i] / length[i]) : 1;
        *shortened += length[i] > limit[i];
      }
      for (int i = 0; i < g.count; i++)
        for (int e = 0; e < dimension; e++) dx[(at + i) * dimension + e] = -own[e][i] * factor[i];
    }
    sd_add(&first, s.k * dimension, target);
    sd_add(&second, s.k * dimension, centroid);
  }
}

// With two numbers to choose from, their attention stays in registers; with four it is spilled and gains nothing.
#define SD_BY_SHAPE(function, s, ...)                            \
  if (s.dimension == 1 && s.k == 2) function(1, s, __VA_ARGS__); \
  else SD_BY_DIMENSION(function, s.dimension, s, __VA_ARGS__)

SD_CLONES void sd_vectors_moments(sd_vectors s, double *sum, double *moment) {
  SD_BY_SHAPE(sd_moments, s, sum, moment)
}

SD_CLONES void sd_vectors_mix(sd_vectors s, const float *targets, float *y) {
  SD_BY_SHAPE(sd_mix, s, targets, y)
}

SD_CLONES void sd_vectors_pullback_iteration(sd_vectors s, const float *targets, const float *slopes, float *dx,
                                             double *centroid) {
  SD_BY_SHAPE(sd_pullback_iteration, s, targets, slopes, dx, centroid)
}

SD_CLONES ptrdiff_t sd_vectors_pullback_readout(sd_vectors s, const float *targets, const float *dy, float bound,
                                                float *dx, double *target, double *centroid) {
  ptrdiff_t shortened = 0;
  SD_BY_SHAPE(sd_pullback_readout, s, targets, dy, bound, dx, target, centroid, &shortened)
  return shortened;
}
