#include "clip_merges.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char merges[] = {
#embed "clip_merges.txt"
};

const size_t sd_clip_merges_count = sizeof merges;

const unsigned char *sd_clip_merges_start(void) { return merges; }
