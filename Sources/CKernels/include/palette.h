// Streams of narrow elements: element i occupies bits i*n ... i*n+n-1, least significant bit first. 1 <= n <= 8.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// y[i] = element start + i. The stream has `size` bytes and holds all of them.
void sd_unpack(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count, uint8_t *y);
/// Writes `count` elements from the stream's beginning; `(count * bits + 7) / 8` bytes, unused bits are zero.
void sd_pack(const uint8_t *x, size_t count, unsigned bits, uint8_t *stream);
/// y[i] = table[element start + i]; the table has 2^bits entries.
void sd_look_up(const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count, const float *table,
                float *y);
/// The same with the code for a processor level (`sd_processor_level`).
void sd_look_up_on(int level, const uint8_t *stream, size_t size, unsigned bits, size_t start, size_t count,
                   const float *table, float *y);
/// y[i] = table[table_base + table_offset[i] + pitch * element(index_base + index_offset[i])].
void sd_look_up_scattered(const uint8_t *stream, size_t size, unsigned bits, size_t index_base,
                          const uint32_t *index_offset, size_t table_base, const uint32_t *table_offset, size_t pitch,
                          size_t count, const float *table, float *y);
/// y[i] = (y[i] - shift[base + offset[i]]) * scale[base + offset[i]]; shift may be null.
void sd_shift_scale_scattered(float *y, size_t count, size_t base, const uint32_t *offset, const float *shift,
                              const float *scale);
