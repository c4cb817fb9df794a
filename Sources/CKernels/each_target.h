// Includes BODY for the baseline, AVX2 and AVX-512 with TARGET, NAME(x), ROWS, WIDEST and TALL set: how a function is
// compiled and called, the rows and vectors of the largest block of a product that stays in registers, and the rows of the
// largest one of a single vector.
#define ROWS 4
#define TALL 4
#define WIDEST 1
#define TARGET
#define NAME(x) NAME_BASELINE(x)
#include BODY
#include "end_of_target.h"

#if defined(__x86_64__)
#define ROWS 6
#define TALL 6
#define WIDEST 1
#define TARGET __attribute__((target("arch=x86-64-v3")))
#define NAME(x) NAME_V3(x)
#include BODY
#include "end_of_target.h"

// Vectors of 64 bytes stay whole only where a function says so: by itself clang splits them for AVX-512.
#define ROWS 8
#define TALL 24
#define WIDEST 3
#define TARGET __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
#define NAME(x) NAME_V4(x)
#include BODY
#include "end_of_target.h"
#endif
