// One source, three machine codes: `SD_CLONES` compiles a function for x86-64-v4 (AVX-512), x86-64-v3 (AVX2, FMA, F16C)
// and the baseline, and lets the loader choose. On other architectures it is the plain function.
// Named by level, not by processor: `arch=haswell` asks for that model and leaves out every AMD.
#pragma once
#if defined(__x86_64__)
#define SD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SD_CLONES
#endif
#define SD_INLINE static inline __attribute__((always_inline))
