#include "soft_assignment.h"
#include "vector_math.h"
#include <math.h>
#include <stdbool.h>

enum { BLOCK = 128 };

// Lets clang sum in lanes; the order is fixed by the compiled code, so results repeat bit for bit.
#define REASSOCIATE _Pragma("clang fp reassociate(on)")

SD_INLINE double sd_distance(sd_attention s, double u, size_t j) {
  double e = u - s.centroids[j];
  return s.absolute ? fabs(e) : e * e;
}

// The nearest centroid, searched upwards from `from`.
SD_INLINE size_t sd_nearest(sd_attention s, double u, size_t from) {
  size_t j = from;
  while (j + 1 < s.k && sd_distance(s, u, j + 1) <= sd_distance(s, u, j)) j++;
  return j;
}

// The centroids within `cutoff` of the best logit for some value in low...high. Both the distance to a centroid on
// the right and its excess over the best one fall as the value grows, so the ends of the interval decide. `first` and
// `last` hold the window of the block before, which only moves up.
SD_INLINE void sd_window(sd_attention s, double low, double high, size_t *first, size_t *last) {
  double reach = s.cutoff * s.temperature;
  if (!(reach < INFINITY)) {
    *first = 0, *last = s.k - 1;
    return;
  }
  double least = sd_distance(s, low, sd_nearest(s, low, *first));
  while (*first + 1 < s.k && sd_distance(s, low, *first) > least + reach) ++*first;
  size_t j = sd_nearest(s, high, *first);
  least = sd_distance(s, high, j);
  while (j + 1 < s.k && sd_distance(s, high, j + 1) <= least + reach) j++;
  *last = j;
}

#define REAL float
#define EXP sd_expf
#define MAGNITUDE fabsf
#define NAME(x) single_##x
#include "soft_assignment_body.h"
#undef REAL
#undef EXP
#undef MAGNITUDE
#undef NAME
#define REAL double
#define EXP exp
#define MAGNITUDE fabs
#define NAME(x) double_##x
#include "soft_assignment_body.h"

size_t sd_attention_scratch(size_t k) { return 3 * k * BLOCK; }

// One branch for each variant, so that what a variant does not need is compiled away.
#define DISPATCH(pass, ...)                                            \
  if (s.floor > 0 || s.offset != 0) {                                  \
    if (s.single_precision) single_##pass(s, __VA_ARGS__, 1);          \
    else double_##pass(s, __VA_ARGS__, 1);                             \
  } else if (s.single_precision) single_##pass(s, __VA_ARGS__, 0);     \
  else double_##pass(s, __VA_ARGS__, 0);

SD_CLONES void sd_attention_moments(sd_attention s, const double *masses, double *sum, double *moment,
                                    double *inertia, double *scratch) {
  for (size_t j = 0; j < s.k; j++) sum[j] = moment[j] = 0;
  *inertia = 0;
  DISPATCH(moments, masses, sum, moment, inertia, scratch)
}

SD_CLONES void sd_attention_mix(sd_attention s, const double *targets, double *table, double *scratch) {
  DISPATCH(mix, targets, table, scratch)
}

SD_CLONES void sd_attention_pullback_iteration(sd_attention s, const double *masses, const double *targets,
                                               const double *slopes, double *shared, double *centroid,
                                               double *scratch) {
  for (size_t j = 0; j < s.k; j++) centroid[j] = 0;
  DISPATCH(pullback, masses, targets, slopes, shared, NULL, centroid, scratch, 0)
}

SD_CLONES void sd_attention_pullback_readout(sd_attention s, const double *gradients, const double *targets,
                                             double *gain, double *target, double *centroid, double *scratch) {
  for (size_t j = 0; j < s.k; j++) centroid[j] = target[j] = 0;
  DISPATCH(pullback, gradients, targets, NULL, gain, target, centroid, scratch, 1)
}

SD_CLONES void sd_attention_coupling(sd_attention s, const double *masses, double *coupling, double *scratch) {
  for (size_t i = 0; i < s.k * s.k; i++) coupling[i] = 0;
  if (s.single_precision) single_coupling(s, masses, coupling, scratch);
  else double_coupling(s, masses, coupling, scratch);
}
