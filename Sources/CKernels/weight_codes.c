#include "weight_codes.h"
#include "clones.h"
#include "lanes.h"
#include "processor.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { CHUNK = 2048 };

// Negative codes are complemented, positive ones moved above them; -0 becomes +0.
SD_INLINE void half_keys(const float *x, float scale, uint16_t *key, size_t count) {
  for (size_t i = 0; i < count; i++) {
    _Float16 h = (_Float16)(x[i] * scale);
    uint16_t code;
    memcpy(&code, &h, sizeof code);
    code = code == 0x8000 ? 0 : code;
    key[i] = code ^ (uint16_t)((code & 0x8000) ? 0xFFFF : 0x8000);
  }
}

// From here on the last bit of a number is 1, and numbers beside it differ by the integer that was added.
static const float INTEGERS = 0x1.8p23f;
enum { INTEGERS_BITS = 0x4B400000 };

// Not a number, and what is too large for 16 bits, becomes the least integer or the greatest.
SD_INLINE void integer_keys(const float *x, float scale, uint16_t *key, size_t count) {
  for (size_t i = 0; i < count; i++) {
    float number = x[i] * scale + INTEGERS;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    int32_t integer = (int32_t)(bits - INTEGERS_BITS);
    integer = integer < INT16_MIN ? INT16_MIN : integer > INT16_MAX ? INT16_MAX : integer;
    key[i] = (uint16_t)((uint16_t)integer ^ 0x8000);
  }
}

SD_INLINE void to_keys(const float *x, sd_rounding to, uint16_t *key, size_t count) {
  if (to.integers)
    integer_keys(x, to.scale, key, count);
  else
    half_keys(x, to.scale, key, count);
}

// A cache line of weights.
enum { LINE = 16 };

// Keys of a line are loaded four at a time, others one by one.
#define KEY_OF_LINE(i) (four[(i) / 4] >> 16 * ((i) % 4) & 0xFFFF)
#define KEY_OF_REST(i) keys_of_chunk[line + (i)]

// A body takes how its loop is compiled, how many weights there are and how each key is found. Lines that lie `ahead` are
// fetched between those of a chunk: the processor's own prefetching does not keep up.
#define EACH_LINE(ahead, fetch, body)                                      \
  uint16_t keys_of_chunk[CHUNK];                                           \
  for (size_t start = 0; start < count; start += CHUNK) {                  \
    size_t length = count - start < CHUNK ? count - start : CHUNK;         \
    to_keys(x + start, to, keys_of_chunk, length);                         \
    size_t line = 0;                                                       \
    for (; line + LINE <= length; line += LINE) {                          \
      uint64_t four[LINE / 4];                                             \
      memcpy(four, keys_of_chunk + line, sizeof four);                     \
      size_t at = start + line;                                            \
      __builtin_prefetch(x + at + (ahead));                                \
      fetch;                                                               \
      body(UNROLLED, LINE, KEY_OF_LINE)                                    \
    }                                                                      \
    size_t at = start + line, rest = length - line;                        \
    (void)at;                                                              \
    body(, rest, KEY_OF_REST)                                              \
  }

#define COUNT(LOOP, n, KEY) LOOP for (size_t i = 0; i < n; i++) counts[KEY(i)]++;
SD_CLONES void sd_count_keys(const float *x, sd_rounding to, uint32_t *counts, size_t count) {
  EACH_LINE(CHUNK, , COUNT)
}

SD_CLONES size_t sd_occupied_keys(const uint32_t *counts, uint16_t *keys) {
  size_t found = 0;
  for (int first = 0; first < 65536; first += 64) {
    uint32_t any = 0;
    for (int i = 0; i < 64; i++) any |= counts[first + i];
    if (!any) continue;
    for (int i = 0; i < 64; i++)
      if (counts[first + i]) keys[found++] = (uint16_t)(first + i);
  }
  return found;
}

// Zeros between calls: clearing and searching 65,536 counts would take longer than counting a few thousand weights.
static _Thread_local uint32_t short_counts[65536];

SD_CLONES size_t sd_distinct_keys(const float *x, sd_rounding to, uint16_t *keys, uint32_t *each, size_t count) {
  uint64_t seen[1024] = {0};
  uint32_t *counts = short_counts;
#define MARK(LOOP, n, KEY)                                       \
  LOOP for (size_t i = 0; i < n; i++) {                          \
    size_t key = KEY(i);                                         \
    counts[key]++, seen[key >> 6] |= (uint64_t)1 << (key & 63);  \
  }
  EACH_LINE(CHUNK, , MARK)
  size_t found = 0;
  for (unsigned word = 0; word < 1024; word++)
    for (uint64_t rest = seen[word]; rest; rest &= rest - 1) {
      unsigned one = word << 6 | (unsigned)__builtin_ctzll(rest);
      keys[found] = (uint16_t)one;
      each[found++] = counts[one];
      counts[one] = 0;
    }
  return found;
}

SD_CLONES void sd_weighted_moments(const double *values, const double *masses, size_t count, double *total,
                                   double *mean, double *variance) {
  double sum = 0, first = 0, second = 0;
  for (size_t i = 0; i < count; i++) {
#pragma clang fp reassociate(on)
    sum += masses[i];
    first += masses[i] * values[i];
  }
  const double center = first / sum;
  for (size_t i = 0; i < count; i++) {
#pragma clang fp reassociate(on)
    second += masses[i] * (values[i] - center) * (values[i] - center);
  }
  *total = sum, *mean = center, *variance = second / sum;
}

SD_CLONES void sd_key_values(const uint16_t *key, sd_rounding to, double *values, size_t count) {
  const double unit = 1 / (double)to.scale;
  if (to.integers) {
    for (size_t i = 0; i < count; i++) values[i] = (key[i] - 32768) * unit;
    return;
  }
  for (size_t i = 0; i < count; i++) {
    uint16_t code = key[i] ^ (uint16_t)((key[i] & 0x8000) ? 0x8000 : 0xFFFF);
    _Float16 h;
    memcpy(&h, &code, sizeof h);
    values[i] = (double)(float)h * unit;
  }
}

typedef float few __attribute__((vector_size(16), aligned(4)));

// Four are stored at a time: a processor stores one vector in a cycle, whatever its size.
#define LOOK_UP(LOOP, n, KEY)                                                                              \
  size_t i = 0;                                                                                            \
  LOOP for (; i + 4 <= n; i += 4)                                                                          \
      *(few *)(y + at + i) = (few){table[KEY(i)], table[KEY(i + 1)], table[KEY(i + 2)], table[KEY(i + 3)]}; \
  for (; i < n; i++) y[at + i] = table[KEY(i)];
SD_CLONES static void look_up(const float *x, sd_rounding to, const float *table, float *y, size_t count, size_t ahead) {
  EACH_LINE(ahead, , LOOK_UP)
}

#if defined(__x86_64__)
// Keys stay in the register, and AVX-512 looks sixteen up at a time.
__attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
static void look_up_vectors(const float *x, sd_rounding to, const float *table, float *y, size_t count, size_t ahead) {
  const __m256i top = _mm256_set1_epi16((short)0x8000);
  for (size_t i = 0; i < count; i += LINE) {
    __builtin_prefetch(x + i + ahead);
    const __mmask16 inside = count - i < LINE ? (__mmask16)((1u << (count - i)) - 1) : (__mmask16)-1;
    const __m512 number = _mm512_maskz_loadu_ps(inside, x + i), by = _mm512_set1_ps(to.scale);
    __m512i key;
    if (to.integers) {
      const __m512i bits = _mm512_castps_si512(_mm512_fmadd_ps(number, by, _mm512_set1_ps(INTEGERS)));
      const __m512i integer = _mm512_sub_epi32(bits, _mm512_set1_epi32(INTEGERS_BITS));
      key = _mm512_cvtepu16_epi32(_mm256_xor_si256(_mm512_cvtsepi32_epi16(integer), top));
    } else {
      __m256i code = _mm512_cvtps_ph(_mm512_mul_ps(number, by), _MM_FROUND_TO_NEAREST_INT);
      code = _mm256_maskz_mov_epi16(_mm256_cmpneq_epi16_mask(code, top), code);
      key = _mm512_cvtepu16_epi32(_mm256_xor_si256(code, _mm256_or_si256(_mm256_srai_epi16(code, 15), top)));
    }
    const __m512 found = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), inside, key, table, 4);
    _mm512_mask_storeu_ps(y + i, inside, found);
  }
}
#endif

void sd_gather_by_key_on(int level, const float *x, size_t pitch, sd_rounding to, const float *table, float *y, size_t rows,
                         size_t columns) {
  if (columns == 0) return;
  // Of short rows, those are fetched that come some thousand weights later.
  const size_t ahead = rows > 1 && columns <= CHUNK ? pitch * (1 + 1024 / columns) : CHUNK;
  for (size_t row = 0; row < rows; row++) {
    const float *in = x + row * pitch;
    float *out = y + row * columns;
#if defined(__x86_64__)
    if (level >= 4) {
      look_up_vectors(in, to, table, out, columns, ahead);
      continue;
    }
#endif
    look_up(in, to, table, out, columns, ahead);
  }
}

void sd_gather_by_key(const float *x, size_t pitch, sd_rounding to, const float *table, float *y, size_t rows,
                      size_t columns) {
  sd_gather_by_key_on(sd_processor_level(), x, pitch, to, table, y, rows, columns);
}

SD_CLONES void sd_gather_bytes_by_key(const float *x, sd_rounding to, const uint8_t *table, uint8_t *y, size_t count) {
#define LOOK_UP_BYTE(LOOP, n, KEY) LOOP for (size_t i = 0; i < n; i++) y[at + i] = table[KEY(i)];
  EACH_LINE(CHUNK, , LOOK_UP_BYTE)
}

#define ADD(LOOP, n, KEY) LOOP for (size_t i = 0; i < n; i++) sums[KEY(i)] += dy[at + i];
SD_CLONES void sd_scatter_by_key(const float *x, sd_rounding to, const float *dy, float *sums, size_t count) {
  EACH_LINE(CHUNK, __builtin_prefetch(dy + at + CHUNK), ADD)
}

typedef double pair_bits __attribute__((may_alias));
typedef double two_pairs __attribute__((vector_size(16)));

// Pairs are moved as they lie, the bits of a double each; which number is which is told four at a time.
#define AFFINE(LOOP, n, KEY)                                                                            \
  size_t i = 0;                                                                                         \
  LOOP for (; i + 4 <= n; i += 4) {                                                                     \
    few low = (few)(two_pairs){both[KEY(i)], both[KEY(i + 1)]};                                         \
    few high = (few)(two_pairs){both[KEY(i + 2)], both[KEY(i + 3)]};                                    \
    few gain = __builtin_shufflevector(low, high, 0, 2, 4, 6);                                          \
    few shared = __builtin_shufflevector(low, high, 1, 3, 5, 7);                                        \
    *(few *)(dx + at + i) = gain * *(const few *)(dy + at + i) + shared;                                \
  }                                                                                                     \
  for (; i < n; i++) dx[at + i] = pairs[2 * KEY(i)] * dy[at + i] + pairs[2 * KEY(i) + 1];
SD_CLONES void sd_affine_by_key(const float *x, sd_rounding to, const float *pairs, const float *dy, float *dx,
                                size_t count) {
  const pair_bits *both = (const pair_bits *)pairs;
  EACH_LINE(CHUNK, __builtin_prefetch(dy + at + CHUNK), AFFINE)
}
