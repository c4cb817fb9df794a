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

// Least f[j] of a partition of values 0..<j whose every cell costs its error and `penalty`; returns the cells of the
// whole. A later cut, once it is better for some j, stays better for all that follow (the error is a Monge matrix), so
// each cut is best on one interval; `queue` holds those that are still to come (Hirschberg & Larmore 1987).
typedef struct { uint32_t cut, from; } interval;

SD_INLINE size_t penalized(prefix s, double penalty, size_t count, double *f, interval *queue, uint16_t *cuts) {
  size_t front = 0, back = 1;
  f[0] = 0;
  queue[0] = (interval){0, 1};
  for (size_t j = 1; j <= count; j++) {
    while (front + 1 < back && queue[front + 1].from <= j) front++;
    const size_t cut = queue[front].cut;
    f[j] = f[cut] + cell_error(s, cut, j) + penalty;
    cuts[j] = (uint16_t)cut;
    if (j == count) break;
    size_t from = j + 1;
    while (back > front) {
      const interval last = queue[back - 1];
      from = last.from > j + 1 ? last.from : j + 1;
      if (!(f[j] + cell_error(s, j, from) < f[last.cut] + cell_error(s, last.cut, from))) break;
      back--;
    }
    if (back == front) {
      queue[back++] = (interval){(uint32_t)j, (uint32_t)from};
      continue;
    }
    // The first position behind `from`, where the last cut of the queue still wins, that j is better for.
    const size_t last = queue[back - 1].cut;
    size_t low = from, high = count + 1;
    while (high - low > 1) {
      const size_t middle = (low + high) / 2;
      if (f[j] + cell_error(s, j, middle) < f[last] + cell_error(s, last, middle)) high = middle;
      else low = middle;
    }
    if (high <= count) queue[back++] = (interval){(uint32_t)j, (uint32_t)high};
  }
  size_t cells = 0;
  for (size_t end = count; end > 0; end = cuts[end]) cells++;
  return cells;
}

// The best partition into k cells as the best one of any number of cells under a penalty for each: errors are convex in
// k, so the right penalty has it, unless several k lie on one line. Found by the secant of logarithms, as the error falls
// with the square of k. Returns whether it was.
SD_INLINE int partition_by_penalty(size_t count, size_t k, size_t *starts, double *scratch, uint16_t *cuts) {
  const size_t n = count + 1;
  prefix s = {scratch, scratch + n, scratch + 2 * n, scratch + 3 * n, scratch + 4 * n, scratch + 5 * n, 0};
  double *f = scratch + 6 * n;
  interval *queue = (interval *)(scratch + 7 * n);
  double low = 0, high = 0, low_cells = 0, high_cells = 0;
  double penalty = 5.4 * s.q[count] / ((double)k * (double)k * (double)k);
  for (int round = 0; round < 64; round++) {
    const size_t cells = penalized(s, penalty, count, f, queue, cuts);
    if (cells == k) {
      // Once more with the lower halves: the penalty stays, the cuts are exact.
      s.exact = 1;
      if (penalized(s, penalty, count, f, queue, cuts) != k) return 0;
      size_t end = count;
      for (size_t cell = k; cell > 0; cell--) starts[cell - 1] = end = cuts[end];
      return 1;
    }
    if (cells > k) low = penalty, low_cells = (double)cells;
    else high = penalty, high_cells = (double)cells;
    if (low == 0 || high == 0) {
      const double ratio = (double)cells / (double)k;
      penalty *= ratio * ratio * ratio * (cells > k ? 1.05 : 0.95);
      continue;
    }
    if (high / low < 1 + 1e-13) return 0;
    double share = log(low_cells / (double)k) / log(low_cells / high_cells);
    share = share < 0.05 ? 0.05 : share > 0.95 ? 0.95 : share;
    penalty = low * pow(high / low, share);
  }
  return 0;
}

SD_CLONES void sd_optimal_partition(const double *values, const double *masses, size_t count, size_t k,
                                    size_t *starts, double *scratch, uint16_t *cuts) {
  prefix_sums(values, masses, count, scratch);
  if (k >= 8 && count > 16 * k && partition_by_penalty(count, k, starts, scratch, cuts)) return;
  if (count > 4096) {
    // Single doubles take a third of the time. Each cell's error is off by at most a few roundings of the total second
    // moment; if all of them together are below 1e-8 of the result, so is what the partition can be short of the best.
    double error = partition(count, k, starts, scratch, cuts, 0);
    double total = scratch[4 * (count + 1) + count];
    if (error * 1e-8 > (double)k * 4 * 0x1p-53 * total) return;
  }
  partition(count, k, starts, scratch, cuts, 1);
}
