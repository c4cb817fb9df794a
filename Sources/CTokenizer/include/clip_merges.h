#pragma once

#include <stddef.h>

/// CLIP's byte-pair merges (OpenAI, MIT licence), the earliest first: two symbols a line.
const unsigned char *sd_clip_merges_start(void);
extern const size_t sd_clip_merges_count;
