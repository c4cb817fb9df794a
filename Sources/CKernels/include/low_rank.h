#pragma once
#include <stddef.h>

// Adds `scale · left · right` to a block: left [rows, rank] and right [rank, columns] of rows `stride` apart, y of rows
// `pitch` apart. Every element is y and then the products in the order of the ranks, wherever it lies in the block.
void sd_low_rank_add(const float *left, size_t rank, float scale, const float *right, size_t stride, size_t rows, size_t columns,
                     float *y, size_t pitch);
