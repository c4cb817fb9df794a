#include "optimal_partition.h"
#include "clones.h"
#include <math.h>

// A cell's error is Q - P²/M of prefix sums, which cancels badly for a narrow cell far from the mean. So the sums of
// mass M, first moment P and second moment Q are kept in two doubles each, and the error is evaluated as
// Q - m (2 P - m M) about the rounded mean m, whose own rounding only enters squared.
typedef struct { double high, low; } pair;

SD_INLINE pair difference(double a, double b) {
  double s = a - b, t = s - a;
  return (pair){s, (a - (s - t)) - (b + t)};
}

SD_INLINE pair sum(pair a, double high, double low) {
  pair s = difference(a.high, -high);
  s.low += a.low + low;
  double h = s.high + s.low;
  return (pair){h, s.low - (h - s.high)};
}

typedef struct {
  const double *m, *ml, *p, *pl, *q, *ql;
  int exact;  // whether to use the lower halves
} prefix;

SD_INLINE double cell_error(prefix s, size_t i, size_t j) {
  if (!s.exact) {
    double p = s.p[j] - s.p[i], error = s.q[j] - s.q[i] - p * p / (s.m[j] - s.m[i]);
    return error > 0 ? error : 0;
  }
  pair m = difference(s.m[j], s.m[i]), p = difference(s.p[j], s.p[i]), q = difference(s.q[j], s.q[i]);
  m.low += s.ml[j] - s.ml[i];
  p.low += s.pl[j] - s.pl[i];
  q.low += s.ql[j] - s.ql[i];
  double mean = p.high / m.high;
  double product = mean * m.high;
  double product_low = __builtin_fma(mean, m.high, -product) + mean * m.low;
  pair t = difference(2 * p.high, product);
  t.low += 2 * p.low - product_low;
  product = mean * t.high;
  product_low = __builtin_fma(mean, t.high, -product) + mean * t.low;
  pair e = difference(q.high, product);
  double error = e.high + (e.low + (q.low - product_low));
  return error > 0 ? error : 0;
}

enum { LANES = 8 };

// The best last cut of values 0..<j, among `first`...`last`.
SD_INLINE size_t best_cut(prefix s, const double *previous, size_t j, size_t first, size_t last, double *least) {
  double best[LANES], where[LANES];
  for (size_t l = 0; l < LANES; l++) best[l] = INFINITY, where[l] = 0;
  size_t i = first;
  for (; i + LANES <= last + 1; i += LANES)
    for (size_t l = 0; l < LANES; l++) {
      double v = previous[i + l] + cell_error(s, i + l, j);
      where[l] = v < best[l] ? (double)i : where[l];
      best[l] = v < best[l] ? v : best[l];
    }
  double lowest = INFINITY;
  size_t cut = first;
  for (size_t l = 0; l < LANES; l++) {
    size_t at = (size_t)where[l] + l;
    if (best[l] < lowest || (best[l] == lowest && at < cut)) lowest = best[l], cut = at;
  }
  for (; i <= last; i++) {
    double v = previous[i] + cell_error(s, i, j);
    if (v < lowest) lowest = v, cut = i;
  }
  *least = lowest;
  return cut;
}

SD_INLINE void prefix_sums(const double *values, const double *masses, size_t count, double *scratch) {
  double mass = 0, moment = 0;
  for (size_t i = 0; i < count; i++) mass += masses[i], moment += masses[i] * values[i];
  double mean = moment / mass;
  pair m = {0, 0}, p = {0, 0}, q = {0, 0};
  double *arrays[6];
  for (size_t a = 0; a < 6; a++) arrays[a] = scratch + a * (count + 1);
  for (size_t i = 0; i <= count; i++) {
    const pair sums[3] = {m, p, q};
    for (size_t a = 0; a < 3; a++) arrays[2 * a][i] = sums[a].high, arrays[2 * a + 1][i] = sums[a].low;
    if (i == count) break;
    double x = values[i] - mean, n = masses[i];
    double nx = n * x, nx_low = __builtin_fma(n, x, -nx);
    double nxx = nx * x, nxx_low = __builtin_fma(nx, x, -nxx) + nx_low * x;
    m = sum(m, n, 0);
    p = sum(p, nx, nx_low);
    q = sum(q, nxx, nxx_low);
  }
}

// One layer of the dynamic programme: least[j] for `cells` cells over values 0..<j. The best cut never moves left as
// j grows, so positions are visited coarse to fine and each search is confined between its visited neighbours.
SD_INLINE void layer(prefix s, const double *previous, double *least, uint16_t *cuts, size_t cells, size_t count) {
  size_t positions = count - cells + 1, step = 1;
  while (step < positions) step *= 2;
  for (; step > 0; step /= 2)
    for (size_t t = step - 1; t < positions; t += 2 * step) {
      size_t j = cells + t;
      size_t first = t >= step ? cuts[j - step] : cells - 1;
      size_t last = t + step < positions ? cuts[j + step] : j - 1;
      cuts[j] = (uint16_t)best_cut(s, previous, j, first, last < j ? last : j - 1, &least[j]);
    }
}

// Returns the error of the best partition.
SD_INLINE double partition(size_t count, size_t k, size_t *starts, double *scratch, uint16_t *cuts, int exact) {
  size_t n = count + 1;
  prefix s = {scratch, scratch + n, scratch + 2 * n, scratch + 3 * n, scratch + 4 * n, scratch + 5 * n, exact};
  double *previous = scratch + 6 * n, *least = scratch + 7 * n;
  for (size_t j = 1; j <= count; j++) previous[j] = cell_error(s, 0, j);
  for (size_t cells = 2; cells <= k; cells++) {
    // The last layer is asked for one position only.
    if (cells == k)
      cuts[(cells - 1) * n + count] = (uint16_t)best_cut(s, previous, count, cells - 1, count - 1, &least[count]);
    else
      layer(s, previous, least, cuts + (cells - 1) * n, cells, count);
    double *swap = previous;
    previous = least;
    least = swap;
  }
  size_t end = count;
  for (size_t cell = k; cell > 0; cell--) {
    starts[cell - 1] = cell > 1 ? cuts[(cell - 1) * n + end] : 0;
    end = starts[cell - 1];
  }
  return previous[count];
}

SD_CLONES void sd_optimal_partition(const double *values, const double *masses, size_t count, size_t k,
                                    size_t *starts, double *scratch, uint16_t *cuts) {
  prefix_sums(values, masses, count, scratch);
  if (count > 4096) {
    // Single doubles take a third of the time. Each cell's error is off by at most a few roundings of the total second
    // moment; if all of them together are below 1e-8 of the result, so is what the partition can be short of the best.
    double error = partition(count, k, starts, scratch, cuts, 0);
    double total = scratch[4 * (count + 1) + count];
    if (error * 1e-8 > (double)k * 4 * 0x1p-53 * total) return;
  }
  partition(count, k, starts, scratch, cuts, 1);
}
