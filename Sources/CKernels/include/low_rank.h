#pragma once
#include <stddef.h>

// Columns of a panel.
#define SD_LOW_RANK_PANEL 64

// Adds `left · right` to a block of rows `pitch` apart: left [rows, rank], and of right the columns from `first` on, which lies
// in panels [rank, 64] of its columns, the last one filled up. Every element is y and then the products in the order of the
// ranks, wherever it lies in the block.
void sd_low_rank_add(const float *left, size_t rank, const float *panels, size_t first, size_t rows, size_t columns, float *y,
                     size_t pitch);
