#include "processor.h"

int sd_processor_level(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("x86-64-v4") ? 4 : __builtin_cpu_supports("x86-64-v3") ? 3 : 1;
#else
  return 0;
#endif
}
