// Little CMS, and as functions those of its macros that Swift cannot import.
#pragma once
#include <lcms2.h>

static inline cmsUInt32Number sd_cms_grey(int bytes) { return COLORSPACE_SH(PT_GRAY) | CHANNELS_SH(1) | BYTES_SH(bytes); }
static inline cmsUInt32Number sd_cms_grey_alpha(int bytes) { return sd_cms_grey(bytes) | EXTRA_SH(1); }
static inline cmsUInt32Number sd_cms_rgb(int bytes) { return COLORSPACE_SH(PT_RGB) | CHANNELS_SH(3) | BYTES_SH(bytes); }
static inline cmsUInt32Number sd_cms_rgb_alpha(int bytes) { return sd_cms_rgb(bytes) | EXTRA_SH(1); }
/// Of inks: 0 is paper.
static inline cmsUInt32Number sd_cms_cmyk(int bytes) { return COLORSPACE_SH(PT_CMYK) | CHANNELS_SH(4) | BYTES_SH(bytes); }
