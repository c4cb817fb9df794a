// Included by soft_assignment.c once for each precision: REAL is the type inside a block, EXP its exponential,
// NAME(x) the name of x for this precision.

typedef struct {
  size_t start, length;  // values of this block
  size_t first, last;    // centroids that matter to it
  double origin;         // the centroid that x and delta are measured from
  REAL inverse;          // 1 / temperature
  REAL x[BLOCK], top[BLOCK], total[BLOCK];
  REAL *a;               // [k, BLOCK], the attention
} NAME(block);

SD_INLINE REAL NAME(slope)(REAL e, REAL inverse, int absolute) {
  return absolute ? (e > 0 ? inverse : (e < 0 ? -inverse : 0)) : 2 * e * inverse;
}

SD_INLINE REAL NAME(delta)(const NAME(block) *b, double c) { return (REAL)(c - b->origin); }

// Logits relative to the origin centroid: -(d_j - d_origin) / τ = δ (2x - δ) / τ, free of large squares.
SD_INLINE void NAME(logits)(sd_attention s, NAME(block) *b, int floored) {
  for (size_t i = 0; i < BLOCK; i++) b->top[i] = -INFINITY;
  for (size_t j = b->first; j <= b->last; j++) {
    REAL *a = b->a + j * BLOCK, d = NAME(delta)(b, s.centroids[j]), scaled = d * b->inverse;
    REAL extra = floored && j == s.offset_column ? (REAL)s.offset * b->inverse : 0;
    if (s.absolute)
      for (size_t i = 0; i < BLOCK; i++) a[i] = (MAGNITUDE(b->x[i]) - MAGNITUDE(b->x[i] - d)) * b->inverse + extra;
    else
      for (size_t i = 0; i < BLOCK; i++) a[i] = scaled * (2 * b->x[i] - d) + extra;
    for (size_t i = 0; i < BLOCK; i++) b->top[i] = a[i] > b->top[i] ? a[i] : b->top[i];
  }
}

SD_INLINE void NAME(attend)(sd_attention s, NAME(block) *b, int floored) {
  for (size_t i = 0; i < BLOCK; i++) {
    size_t row = b->start + (i < b->length ? i : b->length - 1);
    b->x[i] = (REAL)(s.values[row] - b->origin);
    b->total[i] = 0;
  }
  NAME(logits)(s, b, floored);
  for (size_t j = b->first; j <= b->last; j++) {
    REAL *a = b->a + j * BLOCK;
    for (size_t i = 0; i < BLOCK; i++) a[i] = EXP(a[i] - b->top[i]);
    for (size_t i = 0; i < BLOCK; i++) b->total[i] += a[i];
  }
  for (size_t i = 0; i < BLOCK; i++) b->total[i] = 1 / b->total[i];
  for (size_t j = b->first; j <= b->last; j++) {
    REAL *a = b->a + j * BLOCK;
    for (size_t i = 0; i < BLOCK; i++) a[i] *= b->total[i];
  }
}

// Moves to the next block; false behind the last one.
SD_INLINE bool NAME(next)(sd_attention s, NAME(block) *b, int floored) {
  b->start += b->length;
  if (b->start >= s.count) return false;
  b->length = s.count - b->start < BLOCK ? s.count - b->start : BLOCK;
  double low = s.values[b->start], high = s.values[b->start + b->length - 1];
  sd_window(s, low, high, &b->first, &b->last);
  b->origin = s.centroids[sd_nearest(s, s.values[b->start + b->length / 2], b->first)];
  NAME(attend)(s, b, floored);
  return true;
}

SD_INLINE NAME(block) NAME(begin)(sd_attention s, double *scratch) {
  return (NAME(block)){.inverse = (REAL)(1 / s.temperature), .a = (REAL *)scratch};
}

SD_INLINE void NAME(masses)(const NAME(block) *b, const double *masses, REAL *n) {
  for (size_t i = 0; i < BLOCK; i++) n[i] = i < b->length ? (REAL)masses[b->start + i] : 0;
}

SD_INLINE void NAME(moments)(sd_attention s, const double *masses, double *sum, double *moment, double *inertia,
                             double *scratch, int floored) {
  NAME(block) b = NAME(begin)(s, scratch);
  REAL n[BLOCK];
  while (NAME(next)(s, &b, floored)) {
    NAME(masses)(&b, masses, n);
    for (size_t j = b.first; j <= b.last; j++) {
      const REAL *a = b.a + j * BLOCK, d = NAME(delta)(&b, s.centroids[j]);
      REAL total = 0, first = 0;
      for (size_t i = 0; i < BLOCK; i++) {
        REASSOCIATE
        REAL w = n[i] * (floored && a[i] < (REAL)s.floor ? (REAL)s.floor : a[i]);
        total += w;
        first += w * (b.x[i] - d);
      }
      sum[j] += total;
      moment[j] += first;
    }
    REAL least = 0;
    for (size_t i = 0; i < BLOCK; i++) {
      REASSOCIATE
      REAL own = s.absolute ? MAGNITUDE(b.x[i]) : b.x[i] * b.x[i];
      least += n[i] * (own - b.top[i] * (REAL)s.temperature);
    }
    *inertia += least;
  }
}

SD_INLINE void NAME(mix)(sd_attention s, const double *targets, double *table, double *scratch, int floored) {
  NAME(block) b = NAME(begin)(s, scratch);
  while (NAME(next)(s, &b, floored)) {
    // Rows of attention sum to one, except under a floor.
    double base = floored ? 0 : b.origin;
    REAL y[BLOCK] = {0};
    for (size_t j = b.first; j <= b.last; j++) {
      const REAL *a = b.a + j * BLOCK, t = (REAL)(targets[j] - base);
      for (size_t i = 0; i < BLOCK; i++) y[i] += t * (floored && a[i] < (REAL)s.floor ? (REAL)s.floor : a[i]);
    }
    for (size_t i = 0; i < b.length; i++) table[b.start + i] = base + y[i];
  }
}

// p_uj, zero where the floor holds the attention.
SD_INLINE REAL NAME(cotangent)(REAL a, REAL x, REAL target, REAL slope, REAL floor, int readout, int floored) {
  REAL p = readout ? target : slope * (x - target);
  return floored && a < floor ? 0 : p;
}

SD_INLINE void NAME(pullback)(sd_attention s, const double *masses, const double *targets, const double *slopes,
                              double *row, double *target, double *centroid, double *scratch, int readout,
                              int floored) {
  NAME(block) b = NAME(begin)(s, scratch);
  REAL n[BLOCK], floor = (REAL)s.floor;
  while (NAME(next)(s, &b, floored)) {
    NAME(masses)(&b, masses, n);
    // The read-out's cotangents may be shifted by a constant, which σ does not see, except under a floor.
    double base = readout && floored ? 0 : b.origin;
    REAL mean[BLOCK] = {0}, direct[BLOCK] = {0}, own[BLOCK] = {0};
    for (size_t j = b.first; j <= b.last; j++) {
      const REAL *a = b.a + j * BLOCK, t = (REAL)(targets[j] - base), r = readout ? 0 : (REAL)slopes[j];
      for (size_t i = 0; i < BLOCK; i++) {
        mean[i] += a[i] * NAME(cotangent)(a[i], b.x[i], t, r, floor, readout, floored);
        if (!readout) direct[i] += r * (floored && a[i] < floor ? floor : a[i]);
      }
    }
    for (size_t j = b.first; j <= b.last; j++) {
      const REAL *a = b.a + j * BLOCK, t = (REAL)(targets[j] - base), r = readout ? 0 : (REAL)slopes[j];
      REAL d = NAME(delta)(&b, s.centroids[j]), value = 0, path = 0;
      for (size_t i = 0; i < BLOCK; i++) {
        REASSOCIATE
        REAL p = NAME(cotangent)(a[i], b.x[i], t, r, floor, readout, floored);
        REAL pull = a[i] * (p - mean[i]) * NAME(slope)(b.x[i] - d, b.inverse, s.absolute);
        own[i] += pull;
        path += n[i] * pull;
        if (readout) value += n[i] * (floored && a[i] < floor ? floor : a[i]);
      }
      centroid[j] += path;
      if (readout) target[j] += value;
    }
    for (size_t i = 0; i < b.length; i++)
      row[b.start + i] = readout ? -(double)own[i] : row[b.start + i] + ((double)direct[i] - own[i]);
  }
}

SD_INLINE void NAME(coupling)(sd_attention s, const double *masses, double *coupling, double *scratch) {
  NAME(block) b = NAME(begin)(s, scratch);
  REAL n[BLOCK], *left = b.a + s.k * BLOCK, *right = left + s.k * BLOCK;
  while (NAME(next)(s, &b, 0)) {
    NAME(masses)(&b, masses, n);
    for (size_t j = b.first; j <= b.last; j++) {
      const REAL *a = b.a + j * BLOCK, d = NAME(delta)(&b, s.centroids[j]);
      REAL own = 0, *l = left + j * BLOCK, *r = right + j * BLOCK;
      for (size_t i = 0; i < BLOCK; i++) {
        REASSOCIATE
        l[i] = n[i] * a[i] * (b.x[i] - d);
        r[i] = a[i] * NAME(slope)(b.x[i] - d, b.inverse, s.absolute);
        own += l[i] * (1 - a[i]) * NAME(slope)(b.x[i] - d, b.inverse, s.absolute);
      }
      coupling[j * s.k + j] += own;
    }
    for (size_t j = b.first; j <= b.last; j++)
      for (size_t m = b.first; m <= b.last; m++) {
        // Squared distances make the matrix symmetric: half of it is copied at the end.
        if (m == j || (!s.absolute && m > j)) continue;
        REAL cross = 0;
        for (size_t i = 0; i < BLOCK; i++) {
          REASSOCIATE
          cross += left[j * BLOCK + i] * right[m * BLOCK + i];
        }
        coupling[j * s.k + m] -= cross;
      }
  }
  for (size_t j = 0; j < s.k && !s.absolute; j++)
    for (size_t m = j + 1; m < s.k; m++) coupling[j * s.k + m] = coupling[m * s.k + j];
}
