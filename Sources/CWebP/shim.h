// libwebp's decoder and its reader of containers.
#pragma once
#include <webp/decode.h>
#include <webp/demux.h>
