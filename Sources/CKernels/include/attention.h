// Fused attention of one head: o = softmax(scale q kᵀ) v, block by block with a running maximum and sum
// (Dao et al. 2022). No more than a block of scores exists at a time.
#pragma once
#include <stddef.h>

/// Element (token, feature) of an operand lies at token * token_stride + feature * feature_stride.
typedef struct {
  size_t token_stride, feature_stride;
} sd_attention_layout;

typedef struct {
  size_t queries, keys, features;
  /// Of q, k, v and o, and of their gradients.
  sd_attention_layout query_layout, key_layout, value_layout, output_layout;
  float scale;
} sd_attention_head;

/// Floats of scratch that the functions need.
size_t sd_attention_forward_scratch(size_t keys, size_t features);
size_t sd_attention_gradient_scratch(size_t queries, size_t keys, size_t features);

/// Computes queries [first, last). `logsum` takes the logarithm of each query's sum of exponentials, and may be null.
void sd_attention_forward(sd_attention_head head, const float *q, const float *k, const float *v, float *o, float *logsum,
                          size_t first, size_t last, float *scratch);

/// Gradients of all queries, keys and values from the result and what `sd_attention_forward` left in `logsum`.
void sd_attention_gradient(sd_attention_head head, const float *q, const float *k, const float *v, const float *o,
                           const float *logsum, const float *dy, float *dq, float *dk, float *dv, float *scratch);
