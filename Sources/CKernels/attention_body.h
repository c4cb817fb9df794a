// Included by each_target.h.
#include "product_body.h"

// exp(in - shift) as a power of two, never below exp(-60): gradients times much smaller ones would be below the normal
// floats, which processors multiply slowly.
STATIC void NAME(exponentials)(const float *in, float shift, lanes *out) {
  // What is no number stays so.
  lanes x = LARGER((lanes){0} - 60.0f, LOAD(in) - shift);
  // The lowest bits of the sum hold the nearest whole number.
  lanes sum = x * 1.44269504f + 12582912.0f, r = x * 1.44269504f - (sum - 12582912.0f);
  lanes p = r * 0.000154718368f + 0.00133904374f;
  p = p * r + 0.00961802277f;
  p = p * r + 0.0555036166f;
  p = p * r + 0.240226512f;
  p = p * r + 0.693147181f;
  p = p * r + 1.0f;
  *out = (lanes)((integers)p + ((integers)sum << 23));
}

// Rows of a head's operand as [count, padded] with zeros behind the features.
TARGET static void NAME(gather_rows)(const float *x, sd_attention_layout l, size_t first, size_t count, size_t features,
                                     size_t padded, float scale, float *y) {
  if (l.feature_stride == 1) {
    for (size_t t = 0; t < count; t++) {
      const float *in = x + (first + t) * l.token_stride;
      for (size_t f = 0; f < features; f++) y[t * padded + f] = in[f] * scale;
      for (size_t f = features; f < padded; f++) y[t * padded + f] = 0;
    }
    return;
  }
  for (size_t f = 0; f < padded; f++) {
    const float *in = x + f * l.feature_stride + first * l.token_stride;
    for (size_t t = 0; t < count; t++) y[t * padded + f] = f < features ? in[t * l.token_stride] * scale : 0;
  }
}

TARGET static void NAME(scatter_rows)(const float *y, size_t padded, sd_attention_layout l, size_t first, size_t count,
                                      size_t features, float *x) {
  if (l.feature_stride == 1) {
    for (size_t t = 0; t < count; t++)
      for (size_t f = 0; f < features; f++) x[(first + t) * l.token_stride + f] = y[t * padded + f];
    return;
  }
  for (size_t f = 0; f < features; f++)
    for (size_t t = 0; t < count; t++)
      x[f * l.feature_stride + (first + t) * l.token_stride] = y[t * padded + f];
}

// The same turned around, in panels of tokens: [panels, features, PANEL], zeros behind the last token.
TARGET static void NAME(gather_columns)(const float *x, sd_attention_layout l, size_t count, size_t features, float *y) {
  for (size_t start = 0; start < count; start += PANEL, y += features * PANEL) {
    size_t n = count - start < PANEL ? count - start : PANEL;
    for (size_t f = 0; f < features; f++) {
      const float *in = x + start * l.token_stride + f * l.feature_stride;
      for (size_t t = 0; t < n; t++) y[f * PANEL + t] = in[t * l.token_stride];
      for (size_t t = n; t < PANEL; t++) y[f * PANEL + t] = 0;
    }
  }
}

// scores[count, keys of a block] = rows · columns, rows of KEY_BLOCK floats.
STATIC void NAME(scores)(size_t count, size_t keys, size_t features, size_t padded, const float *rows,
                         const float *columns, float *scores) {
  for (size_t start = 0; start < keys; start += PANEL) {
    size_t vectors = keys - start < PANEL ? (keys - start + 15) / 16 : PANEL / 16;
    NAME(product)(count, vectors, features, rows, padded, 1, columns + start * features, PANEL, 16, scores + start,
                  KEY_BLOCK, 0, 0);
  }
}

TARGET static void NAME(forward)(sd_attention_head h, const float *q, const float *k, const float *v, float *o,
                                 float *logsum, size_t first, size_t last, float *scratch) {
  size_t padded = PADDED(h.features);
  float *columns = scratch, *values = columns + WHOLE(h.keys) * h.features, *rows = values + h.keys * padded;
  float *scores = rows + QUERY_BLOCK * padded, *sums = scores + QUERY_BLOCK * KEY_BLOCK;
  NAME(gather_columns)(k, h.key_layout, h.keys, h.features, columns);
  NAME(gather_rows)(v, h.value_layout, 0, h.keys, h.features, padded, 1, values);
  for (size_t query = first; query < last; query += QUERY_BLOCK) {
    size_t count = last - query < QUERY_BLOCK ? last - query : QUERY_BLOCK;
    float maximum[QUERY_BLOCK], total[QUERY_BLOCK];
    for (size_t i = 0; i < count; i++) { maximum[i] = -INFINITY; total[i] = 0; }
    NAME(gather_rows)(q, h.query_layout, query, count, h.features, padded, h.scale, rows);
    for (size_t key = 0; key < h.keys; key += KEY_BLOCK) {
      size_t keys = h.keys - key < KEY_BLOCK ? h.keys - key : KEY_BLOCK, whole = (keys + 15) & ~(size_t)15;
      NAME(scores)(count, keys, h.features, padded, rows, columns + key * h.features, scores);
      for (size_t i = 0; i < count; i++) {
        float *s = scores + i * KEY_BLOCK;
        for (size_t j = keys; j < whole; j++) s[j] = -INFINITY;
        lanes top = LOAD(s);
        for (size_t j = 16; j < whole; j += 16) top = LARGER(top, LOAD(s + j));
        REDUCE_LANES(top, LARGER);
        float m = top[0] > maximum[i] ? top[0] : maximum[i];
        lanes sum = {0};
        for (size_t j = 0; j < whole; j += 16) {
          lanes e;
          NAME(exponentials)(s + j, m, &e);
          STORE(s + j, e);
          sum += e;
        }
        // What stands for -inf is exp(-60), which must not count.
        for (size_t j = keys; j < whole; j++) { sum[j & 15] -= s[j]; s[j] = 0; }
        REDUCE_LANES(sum, PLUS);
        float row = sum[0];
        if (key == 0) {
          total[i] = row;
        } else if (m > maximum[i]) {
          float keep = expf(maximum[i] - m);
          total[i] = total[i] * keep + row;
          for (size_t f = 0; f < padded; f++) sums[i * padded + f] *= keep;
        } else {
          total[i] += row;
        }
        maximum[i] = m;
      }
      NAME(product)(count, padded / 16, keys, scores, KEY_BLOCK, 1, values + key * padded, padded, 16, sums, padded, key > 0, 0);
    }
    for (size_t i = 0; i < count; i++) {
      float inverse = 1.0f / total[i];
      for (size_t f = 0; f < padded; f++) sums[i * padded + f] *= inverse;
      if (logsum) logsum[query + i] = maximum[i] + logf(total[i]);
    }
    NAME(scatter_rows)(sums, padded, h.output_layout, query, count, h.features, o);
  }
}

// With p = exp(s - logsum), dp = dy vᵀ and ds = p (dp - Σ dy o): dv = pᵀ dy, dk = scale dsᵀ q, dq = scale ds k.
TARGET static void NAME(gradient)(sd_attention_head h, const float *q, const float *k, const float *v, const float *o,
                                  const float *logsum, const float *dy, float *dq, float *dk, float *dv, float *scratch) {
  size_t padded = PADDED(h.features), features = h.features, whole_keys = WHOLE(h.keys);
  float *key_columns = scratch, *value_columns = key_columns + whole_keys * features;
  float *keys_rows = value_columns + whole_keys * features, *dkeys = keys_rows + h.keys * padded;
  float *dvalues = dkeys + h.keys * padded, *rows = dvalues + h.keys * padded, *drows = rows + QUERY_BLOCK * padded;
  float *dqueries = drows + QUERY_BLOCK * padded, *p = dqueries + QUERY_BLOCK * padded;
  float *dp = p + QUERY_BLOCK * KEY_BLOCK;
  NAME(gather_columns)(k, h.key_layout, h.keys, features, key_columns);
  NAME(gather_columns)(v, h.value_layout, h.keys, features, value_columns);
  NAME(gather_rows)(k, h.key_layout, 0, h.keys, features, padded, 1, keys_rows);
  for (size_t query = 0; query < h.queries; query += QUERY_BLOCK) {
    size_t count = h.queries - query < QUERY_BLOCK ? h.queries - query : QUERY_BLOCK;
    float offset[QUERY_BLOCK];
    NAME(gather_rows)(o, h.output_layout, query, count, features, padded, 1, rows);
    NAME(gather_rows)(dy, h.output_layout, query, count, features, padded, 1, drows);
    for (size_t i = 0; i < count; i++) {
      lanes sum = {0};
      for (size_t f = 0; f < padded; f += 16) sum += LOAD(rows + i * padded + f) * LOAD(drows + i * padded + f);
      REDUCE_LANES(sum, PLUS);
      offset[i] = sum[0];
    }
    NAME(gather_rows)(q, h.query_layout, query, count, features, padded, h.scale, rows);
    for (size_t key = 0; key < h.keys; key += KEY_BLOCK) {
      size_t keys = h.keys - key < KEY_BLOCK ? h.keys - key : KEY_BLOCK, whole = (keys + 15) & ~(size_t)15;
      NAME(scores)(count, keys, features, padded, rows, key_columns + key * features, p);
      NAME(scores)(count, keys, features, padded, drows, value_columns + key * features, dp);
      for (size_t i = 0; i < count; i++) {
        float *s = p + i * KEY_BLOCK, *d = dp + i * KEY_BLOCK;
        for (size_t j = 0; j < whole; j += 16) {
          lanes e;
          NAME(exponentials)(s + j, logsum[query + i], &e);
          STORE(s + j, e);
          STORE(d + j, e * (LOAD(d + j) - offset[i]));
        }
      }
      size_t vectors = padded / 16;
      NAME(product)(keys, vectors, count, p, 1, KEY_BLOCK, drows, padded, 16, dvalues + key * padded, padded, query > 0, 0);
      // The rows carry the scale already.
      NAME(product)(keys, vectors, count, dp, 1, KEY_BLOCK, rows, padded, 16, dkeys + key * padded, padded, query > 0, 0);
      NAME(product)(count, vectors, keys, dp, KEY_BLOCK, 1, keys_rows + key * padded, padded, 16, dqueries, padded, key > 0, 0);
    }
    for (size_t i = 0; i < count * padded; i++) dqueries[i] *= h.scale;
    NAME(scatter_rows)(dqueries, padded, h.query_layout, query, count, features, dq);
  }
  NAME(scatter_rows)(dkeys, padded, h.key_layout, 0, h.keys, features, dk);
  NAME(scatter_rows)(dvalues, padded, h.value_layout, 0, h.keys, features, dv);
}
