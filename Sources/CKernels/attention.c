#include "attention.h"
#include "lanes.h"
#include "product.h"
#include "processor.h"
#include <math.h>

// Of the gradient: a block of scores, its rows and its columns stay in the second cache; both are multiples of every
// register block.
#define QUERY_BLOCK 96
#define KEY_BLOCK 384
// Keys of a panel: three vectors.
#define PANEL 48
#define PADDED(features) (((features) + 15) & ~(size_t)15)
#define WHOLE(keys) (((keys) + PANEL - 1) / PANEL * PANEL)

// Forward: so many vectors of queries' scores of so many keys stay in the first cache.
#define VECTORS 2
#define FORWARD_KEYS (8 * SD_PACKED_ROWS)
#define PACKED(rows) (((rows) + SD_PACKED_ROWS - 1) / SD_PACKED_ROWS * SD_PACKED_ROWS)

// Tokens of an operand lie side by side in panels of `height`, or features do.
static void gather_tokens(const float *x, sd_attention_layout l, size_t tokens, size_t features, size_t height,
                          float scale, float *y) {
  sd_gather_panels(x, tokens, l.token_stride, features, l.feature_stride, height, scale, y);
}
static void gather_features(const float *x, sd_attention_layout l, size_t tokens, size_t features, size_t height,
                            float scale, float *y) {
  sd_gather_panels(x, features, l.feature_stride, tokens, l.token_stride, height, scale, y);
}

#define BODY "attention_body.h"
#include "each_target.h"

#if defined(__x86_64__)
#define DISPATCH(function, ...)                                                \
  if (sd_processor_level() >= 4) v4_##function(__VA_ARGS__);                   \
  else if (sd_processor_level() >= 3) v3_##function(__VA_ARGS__);              \
  else baseline_##function(__VA_ARGS__)
#else
#define DISPATCH(function, ...) baseline_##function(__VA_ARGS__)
#endif

size_t sd_attention_forward_scratch(size_t keys, size_t features) {
  return PACKED(keys) * features + PACKED(features) * keys + 16 * VECTORS * (2 * features + FORWARD_KEYS);
}

size_t sd_attention_gradient_scratch(size_t queries, size_t keys, size_t features) {
  (void)queries;
  return 2 * WHOLE(keys) * features + 3 * keys * PADDED(features) + QUERY_BLOCK * (3 * PADDED(features) + 2 * KEY_BLOCK);
}

void sd_attention_forward(sd_attention_head head, const float *q, const float *k, const float *v, float *o, float *logsum,
                          size_t first, size_t last, float *scratch) {
  DISPATCH(forward, head, q, k, v, o, logsum, first, last, scratch);
}

void sd_attention_gradient(sd_attention_head head, const float *q, const float *k, const float *v, const float *o,
                           const float *logsum, const float *dy, float *dq, float *dk, float *dv, float *scratch) {
  DISPATCH(gradient, head, q, k, v, o, logsum, dy, dq, dk, dv, scratch);
}
