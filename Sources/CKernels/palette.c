#include "palette.h"
#include "clones.h"
#include "processor.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

#if defined(__x86_64__)
// Sixteen at a time from an element whose number is a multiple of eight on: how many, as long as whole words can be read.
// Up to sixteen entries lie in one register.
__attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
static size_t look_up_vectors(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count,
                              const float *table, float *y) {
  const __m512i shifts = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(bits));
  const __m512i mask = _mm512_set1_epi32((1 << bits) - 1);
  const __m512 entries = _mm512_maskz_loadu_ps((__mmask16)(bits < 4 ? (1u << (1u << bits)) - 1 : 0xFFFF), table);
  size_t i = 0;
  for (size_t at = start / 8 * bits; i + 16 <= count && at + bits + 8 <= size; i += 16, at += 2 * bits) {
    uint64_t low, high;
    memcpy(&low, stream + at, 8), memcpy(&high, stream + at + bits, 8);
    const __m256i first = _mm512_cvtepi64_epi32(_mm512_srlv_epi64(_mm512_set1_epi64((long long)low), shifts));
    const __m256i last = _mm512_cvtepi64_epi32(_mm512_srlv_epi64(_mm512_set1_epi64((long long)high), shifts));
    const __m512i index = _mm512_and_si512(_mm512_inserti64x4(_mm512_castsi256_si512(first), last, 1), mask);
    _mm512_storeu_ps(y + i, bits <= 4 ? _mm512_permutexvar_ps(index, entries) : _mm512_i32gather_ps(index, table, 4));
  }
  return i;
}
#endif

static void look_up(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count, const float *table,
                    float *y) {
  switch (bits) {
#define CASE(bits) case bits: look_up_##bits(stream, size, start, count, table, y); break;
    WIDTHS(CASE)
#undef CASE
  }
}

void sd_look_up_on(int level, const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count,
                   const float *table, float *y) {
#if defined(__x86_64__)
  size_t head = -start & 7;
  if (level >= 4 && count >= head + 16) {
    look_up(stream, size, bits, start, head, table, y);
    head += look_up_vectors(stream, size, bits, start + head, count - head, table, y + head);
    start += head, count -= head, y += head;
  }
#endif
  look_up(stream, size, bits, start, count, table, y);
}

void sd_look_up(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count, const float *table,
                float *y) {
  sd_look_up_on(sd_processor_level(), stream, size, bits, start, count, table, y);
}

void sd_unpack(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count, uint8_t *y) {
  switch (bits) {
#define CASE(bits) case bits: unpack_##bits(stream, size, start, count, y); break;
    WIDTHS(CASE)
#undef CASE
  }
}

// Eight elements at a time fill whole bytes; the last bytes hold what is left.
#define PACK(bits)                                                                                  \
  SD_CLONES static void pack_##bits(const uint8_t *x, size_t count, uint8_t *stream) {              \
    for (size_t i = 0; i < count; i += 8, stream += bits) {                                         \
      size_t left = count - i < 8 ? count - i : 8;                                                  \
      uint64_t word = 0;                                                                            \
      for (size_t j = 0; j < left; j++) word |= (uint64_t)(x[i + j] & ((1u << bits) - 1)) << j * bits; \
      memcpy(stream, &word, (left * bits + 7) / 8);                                                 \
    }                                                                                               \
  }
WIDTHS(PACK)

void sd_pack(const uint8_t *x, size_t count, unsigned bits, uint8_t *stream) {
  switch (bits) {
#define CASE(bits) case bits: pack_##bits(x, count, stream); break;
    WIDTHS(CASE)
#undef CASE
  }
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
