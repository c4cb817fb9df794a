// AdamW, torch's form: decoupled decay, bias-corrected moments, epsilon outside the root. Every array is read and
// written once. Moments in few bits are rounded up or down at random, in proportion, so that small changes add up
// over the steps instead of being lost each time; the random bits are a function of seed and element.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  float learning_rate, beta1, beta2, epsilon, weight_decay, correction1, correction2, gradient_scale;
  uint32_t seed;
} sd_adamw;

void sd_adamw_step(float *parameter, float *mean, float *variance, const float *gradient, sd_adamw options,
                   size_t count);

/// The moments are bfloat16; `first` is the number of the first element within its array.
void sd_adamw_step_bfloat(float *parameter, uint16_t *mean, uint16_t *variance, const float *gradient,
                          sd_adamw options, size_t first, size_t count);

/// Elements that share a scale.
#define SD_MOMENT_BLOCK 256
/// The moments are bytes over a scale for each block, which is the block's largest magnitude. A byte of the mean is a
/// sign, 4 bits of exponent and 3 of mantissa; one of the variance 5 and 3. `first` is a multiple of the block.
void sd_adamw_step_bytes(float *parameter, uint8_t *mean, uint8_t *variance, float *mean_scales,
                         float *variance_scales, const float *gradient, sd_adamw options, size_t first, size_t count);
