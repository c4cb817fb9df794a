// Half precision (IEEE binary16, bfloat16) to and from 32-bit floats; round to nearest even.
#pragma once
#include <stddef.h>
#include <stdint.h>
void sd_half_to_float(const uint16_t *x, float *y, size_t count);
void sd_float_to_half(const float *x, uint16_t *y, size_t count);
void sd_bfloat_to_float(const uint16_t *x, float *y, size_t count);
