// Included by each_target.h.
#include "packed_product_body.h"

// exp(*in - *shift) as a power of two, never below exp(-60): gradients times much smaller ones would be below the normal
// floats, which processors multiply slowly.
STATIC void NAME(exponentials)(const float *in, const lanes *shift, lanes *out) {
  // What is no number stays so.
  lanes x = LARGER((lanes){0} - 60.0f, LOAD(in) - *shift);
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

// The first features of rows [count, padded] to where they belong.
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

// scores[count, keys of a block] = rows · columns, rows of KEY_BLOCK floats.
STATIC void NAME(scores)(size_t count, size_t keys, size_t features, size_t padded, const float *rows,
                         const float *columns, float *scores) {
  for (size_t start = 0; start < keys; start += PANEL) {
    size_t vectors = keys - start < PANEL ? (keys - start + 15) / 16 : PANEL / 16;
    NAME(product)(count, vectors, features, rows, padded, 1, columns + start * features, PANEL, 16, scores + start,
                  KEY_BLOCK, 0, 0, 0);
  }
}

// A panel of up to 16 tokens [features, 16] to where they belong.
TARGET static void NAME(scatter_panel)(const float *y, size_t tokens, size_t features, sd_attention_layout l, float *x) {
  if (l.token_stride == 1) {
    for (size_t f = 0; f < features; f++)
      for (size_t t = 0; t < tokens; t++) x[f * l.feature_stride + t] = y[16 * f + t];
    return;
  }
  for (size_t t = 0; t < tokens; t++)
    for (size_t f = 0; f < features; f++) x[t * l.token_stride + f * l.feature_stride] = y[16 * f + t];
}

// Sixteen queries' scores [keys, 16] become exponentials of what they are below their maximum, which may be that of earlier
// keys. Where it has grown, what was summed before is scaled.
STATIC void NAME(soften)(size_t keys, float *scores, int isFirst, lanes *maximum, lanes *total, float *sums,
                         size_t features) {
  lanes top[4];
  for (size_t i = 0; i < 4; i++) top[i] = isFirst ? LOAD(scores) : *maximum;
  size_t key = 0;
  for (; key + 4 <= keys; key += 4)
    UNROLLED for (size_t i = 0; i < 4; i++) top[i] = LARGER(top[i], LOAD(scores + 16 * (key + i)));
  for (; key < keys; key++) top[0] = LARGER(top[0], LOAD(scores + 16 * key));
  lanes most = LARGER(LARGER(top[0], top[1]), LARGER(top[2], top[3])), sum[2] = {{0}, {0}};
  if (!isFirst) {
    lanes keep;
    NAME(exponentials)((const float *)maximum, &most, &keep);
    sum[0] = *total * keep;
    for (size_t f = 0; f < features; f++) STORE(sums + 16 * f, LOAD(sums + 16 * f) * keep);
  }
  for (key = 0; key < keys; key++) {
    lanes e;
    NAME(exponentials)(scores + 16 * key, &most, &e);
    STORE(scores + 16 * key, e);
    sum[key & 1] += e;
  }
  *maximum = most;
  *total = sum[0] + sum[1];
}

// Queries are lanes: scores of some keys [keys, 16] are packed keys times a panel of queries, what they weigh [features, 16]
// is packed values times them, and nothing is padded but the last queries.
TARGET static void NAME(forward)(sd_attention_head h, const float *q, const float *k, const float *v, float *o,
                                 float *logsum, size_t first, size_t last, float *scratch) {
  const size_t features = h.features, tall = SD_PACKED_ROWS;
  float *keys = scratch, *values = keys + PACKED(h.keys) * features, *queries = values + PACKED(features) * h.keys;
  float *scores = queries + 16 * VECTORS * features, *sums = scores + 16 * VECTORS * FORWARD_KEYS;
  gather_tokens(k, h.key_layout, h.keys, features, tall, 1, keys);
  gather_features(v, h.value_layout, h.keys, features, tall, 1, values);
  for (size_t query = first; query < last; query += 16 * VECTORS) {
    const size_t count = last - query < 16 * VECTORS ? last - query : 16 * VECTORS, vectors = (count + 15) / 16;
    lanes maximum[VECTORS], total[VECTORS];
    gather_tokens(q + query * h.query_layout.token_stride, h.query_layout, count, features, 16, h.scale, queries);
    for (size_t key = 0; key < h.keys; key += FORWARD_KEYS) {
      const size_t block = h.keys - key < FORWARD_KEYS ? h.keys - key : FORWARD_KEYS;
      for (size_t row = 0; row < block; row += tall) {
        // Whole blocks of rows are faster; the last are zeros and not looked at.
        const size_t rows = block - row < tall ? (block - row + 7) / 8 * 8 : tall;
        for (size_t w = 0; w < vectors; w++)
          NAME(packed_product)(rows, 1, features, keys + (key + row) * features, queries + 16 * w * features, 16, 0,
                               scores + 16 * (w * FORWARD_KEYS + row), 16, 0, 0);
      }
      for (size_t w = 0; w < vectors; w++)
        NAME(soften)(block, scores + 16 * w * FORWARD_KEYS, key == 0, maximum + w, total + w, sums + 16 * w * features,
                     features);
      for (size_t f = 0; f < features; f += tall)
        for (size_t w = 0; w < vectors; w++)
          NAME(packed_product)(features - f < tall ? features - f : tall, 1, block, values + f * h.keys + key * tall,
                               scores + 16 * w * FORWARD_KEYS, 16, 0, sums + 16 * (w * features + f), 16, key > 0, 0);
    }
    for (size_t w = 0; w < vectors; w++) {
      const size_t n = count - 16 * w < 16 ? count - 16 * w : 16;
      float *out = o + (query + 16 * w) * h.output_layout.token_stride;
      const lanes inverse = 1.0f / total[w];
      for (size_t f = w * features; f < (w + 1) * features; f++) STORE(sums + 16 * f, LOAD(sums + 16 * f) * inverse);
      NAME(scatter_panel)(sums + 16 * w * features, n, features, h.output_layout, out);
      if (logsum) for (size_t i = 0; i < n; i++) logsum[query + 16 * w + i] = maximum[w][i] + logf(total[w][i]);
    }
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
  gather_tokens(k, h.key_layout, h.keys, features, PANEL, 1, key_columns);
  gather_tokens(v, h.value_layout, h.keys, features, PANEL, 1, value_columns);
  gather_features(k, h.key_layout, h.keys, features, padded, 1, keys_rows);
  for (size_t query = 0; query < h.queries; query += QUERY_BLOCK) {
    size_t count = h.queries - query < QUERY_BLOCK ? h.queries - query : QUERY_BLOCK;
    float offset[QUERY_BLOCK];
    gather_features(o + query * h.output_layout.token_stride, h.output_layout, count, features, padded, 1, rows);
    gather_features(dy + query * h.output_layout.token_stride, h.output_layout, count, features, padded, 1, drows);
    for (size_t i = 0; i < count; i++) {
      lanes sum = {0};
      for (size_t f = 0; f < padded; f += 16) sum += LOAD(rows + i * padded + f) * LOAD(drows + i * padded + f);
      REDUCE_LANES(sum, PLUS);
      offset[i] = sum[0];
    }
    gather_features(q + query * h.query_layout.token_stride, h.query_layout, count, features, padded, h.scale, rows);
    for (size_t key = 0; key < h.keys; key += KEY_BLOCK) {
      size_t keys = h.keys - key < KEY_BLOCK ? h.keys - key : KEY_BLOCK, whole = (keys + 15) & ~(size_t)15;
      NAME(scores)(count, keys, features, padded, rows, key_columns + key * features, p);
      NAME(scores)(count, keys, features, padded, drows, value_columns + key * features, dp);
      for (size_t i = 0; i < count; i++) {
        float *s = p + i * KEY_BLOCK, *d = dp + i * KEY_BLOCK;
        const lanes shift = (lanes){0} + logsum[query + i];
        for (size_t j = 0; j < whole; j += 16) {
          lanes e;
          NAME(exponentials)(s + j, &shift, &e);
          STORE(s + j, e);
          STORE(d + j, e * (LOAD(d + j) - offset[i]));
        }
      }
      size_t vectors = padded / 16;
      NAME(product)(keys, vectors, count, p, 1, KEY_BLOCK, drows, padded, 16, dvalues + key * padded, padded, query > 0, 0, 0);
      // The rows carry the scale already.
      NAME(product)(keys, vectors, count, dp, 1, KEY_BLOCK, rows, padded, 16, dkeys + key * padded, padded, query > 0, 0, 0);
      NAME(product)(count, vectors, keys, dp, KEY_BLOCK, 1, keys_rows + key * padded, padded, 16, dqueries, padded, key > 0, 0, 0);
    }
    for (size_t i = 0; i < count * padded; i++) dqueries[i] *= h.scale;
    NAME(scatter_rows)(dqueries, padded, h.query_layout, query, count, features, dq);
  }
  NAME(scatter_rows)(dkeys, padded, h.key_layout, 0, h.keys, features, dk);
  NAME(scatter_rows)(dvalues, padded, h.value_layout, 0, h.keys, features, dv);
}
