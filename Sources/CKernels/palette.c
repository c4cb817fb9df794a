#include "palette.h"
#include "clones.h"
#include <string.h>

SD_INLINE unsigned element(const uint8_t *stream, size_t size, unsigned bits, size_t at) {
  size_t bit = at * bits, byte = bit >> 3;
  unsigned window = stream[byte] | (byte + 1 < size ? (unsigned)stream[byte + 1] << 8 : 0);
  return (window >> (bit & 7)) & ((1u << bits) - 1);
}

// Eight elements fill exactly `bits` bytes, so between a ragged head and tail whole groups are read as one word.
#define STREAM(bits, store)                                                               \
  size_t i = 0;                                                                           \
  for (; i < count && ((start + i) & 7); i++) { unsigned e = element(stream, size, bits, start + i); store; } \
  const uint8_t *at = stream + (start + i) / 8 * bits;                                    \
  for (; i + 8 <= count; at += bits) {                                                    \
    uint64_t word = 0;                                                                    \
    memcpy(&word, at, bits);                                                              \
    for (unsigned j = 0; j < 8; j++, i++) { unsigned e = (word >> (j * bits)) & ((1u << bits) - 1); store; } \
  }                                                                                       \
  for (; i < count; i++) { unsigned e = element(stream, size, bits, start + i); store; }

#define WIDTHS(function) function(1) function(2) function(3) function(4) function(5) function(6) function(7) function(8)
#define LOOK_UP(bits)                                                                          \
  SD_CLONES static void look_up_##bits(const uint8_t *stream, size_t size, size_t start,       \
                                       size_t count, const float *restrict table, float *restrict y) { \
    STREAM(bits, y[i] = table[e])                                                              \
  }
WIDTHS(LOOK_UP)

#define UNPACK(bits)                                                                           \
  SD_CLONES static void unpack_##bits(const uint8_t *stream, size_t size, size_t start,        \
                                      size_t count, uint8_t *restrict y) {                     \
    STREAM(bits, y[i] = (uint8_t)e)                                                            \
  }
WIDTHS(UNPACK)

void sd_look_up(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count, const float *table,
                float *y) {
  switch (bits) {
#define CASE(bits) case bits: look_up_##bits(stream, size, start, count, table, y); break;
    WIDTHS(CASE)
#undef CASE
  }
}

void sd_unpack(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count, uint8_t *y) {
  switch (bits) {
#define CASE(bits) case bits: unpack_##bits(stream, size, start, count, y); break;
    WIDTHS(CASE)
#undef CASE
  }
}

void sd_pack(const uint8_t *x, size_t count, unsigned bits, uint8_t *stream) {
  uint64_t word = 0;
  unsigned filled = 0;
  size_t out = 0, mask = (1u << bits) - 1;
  for (size_t i = 0; i < count; i++) {
    word |= (uint64_t)(x[i] & mask) << filled;
    for (filled += bits; filled >= 8; filled -= 8) { stream[out++] = (uint8_t)word; word >>= 8; }
  }
  if (filled) stream[out] = (uint8_t)word;
}

SD_CLONES void sd_look_up_scattered(const uint8_t *stream, size_t size, unsigned bits, size_t index_base,
                                    const uint32_t *index_offset, size_t table_base, const uint32_t *table_offset,
                                    size_t pitch, size_t count, const float *table, float *y) {
  for (size_t i = 0; i < count; i++) {
    unsigned e = element(stream, size, bits, index_base + index_offset[i]);
    y[i] = table[table_base + table_offset[i] + pitch * e];
  }
}

SD_CLONES void sd_shift_scale_scattered(float *y, size_t count, size_t base, const uint32_t *offset, const float *shift,
                                        const float *scale) {
  for (size_t i = 0; i < count; i++) {
    size_t at = base + offset[i];
    y[i] = (shift ? y[i] - shift[at] : y[i]) * scale[at];
  }
}
