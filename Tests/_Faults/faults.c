// Stands before the C library (LD_PRELOAD) and makes one operation on files fail, kills the program there, or writes
// down what the program does to files. Tests alone use it.
//
//   SDTUNE_FAULT_UNDER=FOLDER   operations that change files below this folder are counted, from 1
//   SDTUNE_FAULT_AT=N           the operation that something happens to
//   SDTUNE_FAULT=NUMBER|kill    the error that it ends with, or SIGKILL before it
//   SDTUNE_FAULT_LASTS=1        all later operations end with the error too
//   SDTUNE_FAULT_LOG=FILE       gets a line for each: its kind and path
//   SDTUNE_FAULT_JOURNAL=FILE   gets all that it takes to do the operations again: kind, path, second path, offset and
//                               count as text lines, then count bytes
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char under[PATH_MAX];
static size_t under_length;
static long fault_at, count;
static int fault, kills, lasts, log_file = -1, journal = -1;

// Before main alone: later, Swift's runtime may hold locks.
__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("SDTUNE_FAULT_UNDER"), *at = getenv("SDTUNE_FAULT_AT"), *what = getenv("SDTUNE_FAULT");
  if (!folder || !realpath(folder, under)) return;
  under_length = strlen(under);
  fault_at = at ? atol(at) : 0;
  kills = what && strcmp(what, "kill") == 0;
  fault = what ? atoi(what) : EIO;
  lasts = getenv("SDTUNE_FAULT_LASTS") != NULL;
  const char *log = getenv("SDTUNE_FAULT_LOG"), *all = getenv("SDTUNE_FAULT_JOURNAL");
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  if (log) log_file = (int)syscall(SYS_openat, AT_FDCWD, log, flags, 0644);
  if (all) journal = (int)syscall(SYS_openat, AT_FDCWD, all, flags, 0644);
}

static void put(int file, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size > 0) {
    const long written = syscall(SYS_write, file, at, size);
    if (written <= 0) return;
    at += written, size -= (size_t)written;
  }
}

// The full path of a name; empty for what is not below the folder.
static void place(const char *name, char path[PATH_MAX]) {
  path[0] = 0;
  if (!under_length || !name) return;
  if (name[0] == '/') {
    snprintf(path, PATH_MAX, "%s", name);
  } else {
    char folder[PATH_MAX / 2];
    if (!getcwd(folder, sizeof folder)) return;
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
  }
  if (strncmp(path, under, under_length) != 0 || (path[under_length] != '/' && path[under_length] != 0)) path[0] = 0;
}

static void place_of(int file, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = under_length ? readlink(link, path, PATH_MAX - 1) : -1;
  path[length < 0 ? 0 : length] = 0;
  if (strncmp(path, under, under_length) != 0 || strstr(path, " (deleted)")) path[0] = 0;
}

// Counts an operation on a path that is not empty.
//
// Returns the error it is to end with, or 0.
static int meet(const char *kind, const char *path, const char *second, long offset, const void *bytes, size_t size) {
  if (!path[0]) return 0;
  pthread_mutex_lock(&lock);
  count++;
  char line[2 * PATH_MAX + 128];
  if (log_file >= 0) put(log_file, line, (size_t)snprintf(line, sizeof line, "%s %s\n", kind, path));
  const int hit = fault_at > 0 && (count == fault_at || (lasts && count > fault_at));
  if (hit && kills) kill(getpid(), SIGKILL);
  if (!hit && journal >= 0) {
    put(journal, line, (size_t)snprintf(line, sizeof line, "%s\n%s\n%s\n%ld\n%zu\n", kind, path, second, offset, size));
    if (bytes) put(journal, bytes, size);
  }
  pthread_mutex_unlock(&lock);
  return hit ? fault : 0;
}

#define FAIL(number) return errno = (number), -1

static int opened(int folder, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX] = {0};
  if (flags & (O_CREAT | O_TRUNC) && (folder == AT_FDCWD || name[0] == '/')) {
    place(name, path);
    struct stat status;
    const int is_new = path[0] && stat(name, &status) != 0;
    if (is_new || flags & O_TRUNC) {
      const int error = meet(is_new ? "create" : "empty", path, "", 0, NULL, 0);
      if (error) FAIL(error);
    }
  }
  return (int)syscall(SYS_openat, folder, name, flags, mode);
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }
int open(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags) return opened(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE(flags) return opened(folder, name, flags, mode); }

ssize_t write(int file, const void *bytes, size_t size) {
  char path[PATH_MAX];
  place_of(file, path);
  struct stat status;
  long offset = path[0] ? (long)lseek(file, 0, SEEK_CUR) : 0;
  if (path[0] && fcntl(file, F_GETFL) & O_APPEND && fstat(file, &status) == 0) offset = (long)status.st_size;
  const int error = meet("write", path, "", offset, bytes, size);
  if (error) FAIL(error);
  return syscall(SYS_write, file, bytes, size);
}

static ssize_t written(int file, const void *bytes, size_t size, off_t offset) {
  char path[PATH_MAX];
  place_of(file, path);
  const int error = meet("write", path, "", (long)offset, bytes, size);
  if (error) FAIL(error);
  return syscall(SYS_pwrite64, file, bytes, size, offset);
}
ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) { return written(file, bytes, size, offset); }
ssize_t pwrite64(int file, const void *bytes, size_t size, off_t offset) { return written(file, bytes, size, offset); }

static int shortened(int file, off_t size) {
  char path[PATH_MAX];
  place_of(file, path);
  const int error = meet("truncate", path, "", (long)size, NULL, 0);
  if (error) FAIL(error);
  return (int)syscall(SYS_ftruncate, file, size);
}
int ftruncate(int file, off_t size) { return shortened(file, size); }
int ftruncate64(int file, off_t size) { return shortened(file, size); }

static int synchronized(int file, long number) {
  char path[PATH_MAX];
  place_of(file, path);
  const int error = meet("sync", path, "", 0, NULL, 0);
  if (error) FAIL(error);
  return (int)syscall(number, file);
}
int fsync(int file) { return synchronized(file, SYS_fsync); }
int fdatasync(int file) { return synchronized(file, SYS_fdatasync); }

int close(int file) {
  char path[PATH_MAX];
  place_of(file, path);
  const int access = path[0] ? fcntl(file, F_GETFL) & O_ACCMODE : O_RDONLY;
  const int error = access == O_RDONLY ? 0 : meet("close", path, "", 0, NULL, 0);
  const int result = (int)syscall(SYS_close, file);
  if (error) FAIL(error);
  return result;
}

int rename(const char *from, const char *to) {
  char path[PATH_MAX], second[PATH_MAX];
  place(from, path), place(to, second);
  const int error = meet("rename", path, second, 0, NULL, 0);
  if (error) FAIL(error);
  return (int)syscall(SYS_rename, from, to);
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  static long (*real)(long, ...);
  if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  if (number == SYS_renameat2 && a[4] == 2) {
    char path[PATH_MAX], second[PATH_MAX];
    place((const char *)a[1], path), place((const char *)a[3], second);
    const int error = meet("exchange", path, second, 0, NULL, 0);
    if (error) FAIL(error);
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define ON_NAME(kind, name, call) \
  char path[PATH_MAX]; \
  place(name, path); \
  const int error = meet(kind, path, "", 0, NULL, 0); \
  if (error) FAIL(error); \
  return (int)(call)
int unlink(const char *name) { ON_NAME("unlink", name, syscall(SYS_unlink, name)); }
int rmdir(const char *name) { ON_NAME("rmdir", name, syscall(SYS_rmdir, name)); }
int mkdir(const char *name, mode_t mode) { ON_NAME("mkdir", name, syscall(SYS_mkdir, name, mode)); }
int unlinkat(int folder, const char *name, int flags) {
  char path[PATH_MAX] = {0};
  if (folder == AT_FDCWD || name[0] == '/') {
    place(name, path);
  } else {
    place_of(folder, path);
    if (path[0]) strncat(path, "/", PATH_MAX - strlen(path) - 1), strncat(path, name, PATH_MAX - strlen(path) - 1);
  }
  const int error = meet(flags & AT_REMOVEDIR ? "rmdir" : "unlink", path, "", 0, NULL, 0);
  if (error) FAIL(error);
  return (int)syscall(SYS_unlinkat, folder, name, flags);
}
int link(const char *from, const char *to) {
  char path[PATH_MAX], second[PATH_MAX];
  place(from, path), place(to, second);
  const int error = meet("link", second, path, 0, NULL, 0);
  if (error) FAIL(error);
  return (int)syscall(SYS_link, from, to);
}
