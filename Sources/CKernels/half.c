#include "half.h"
#include "clones.h"
#include <string.h>

// clang lowers `_Float16` conversions to F16C instructions in the Haswell clone and to bit arithmetic elsewhere.
SD_CLONES void sd_half_to_float(const uint16_t *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) {
    _Float16 h;
    memcpy(&h, &x[i], sizeof h);
    y[i] = (float)h;
  }
}

SD_CLONES void sd_float_to_half(const float *x, uint16_t *y, size_t count) {
  for (size_t i = 0; i < count; i++) {
    _Float16 h = (_Float16)x[i];
    memcpy(&y[i], &h, sizeof h);
  }
}

SD_CLONES void sd_bfloat_to_float(const uint16_t *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = (uint32_t)x[i] << 16;
    memcpy(&y[i], &bits, sizeof bits);
  }
}
