// Linux's exchange of two names, which the C library declares to GNU programs alone.
#pragma once
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Puts each of two files or folders under the other's name, at once; 0, or -1 with errno.
static inline int sd_exchange(const char *a, const char *b) {
  const unsigned exchange = 2;
  return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, exchange);
}
