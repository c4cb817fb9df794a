// HDF5's C interface, and as functions those of its macros that Swift cannot import.
#pragma once
#include <hdf5.h>

static inline hid_t sd_h5t_float(void) { H5open(); return H5T_IEEE_F32LE; }
static inline hid_t sd_h5t_double(void) { H5open(); return H5T_IEEE_F64LE; }
static inline hid_t sd_h5t_int32(void) { H5open(); return H5T_STD_I32LE; }
static inline hid_t sd_h5t_int64(void) { H5open(); return H5T_STD_I64LE; }
static inline hid_t sd_h5t_uint8(void) { H5open(); return H5T_STD_U8LE; }
static inline hid_t sd_h5t_c_s1(void) { H5open(); return H5T_C_S1; }
static inline hid_t sd_h5p_dataset_create(void) { H5open(); return H5P_DATASET_CREATE; }
static inline hid_t sd_h5p_file_create(void) { H5open(); return H5P_FILE_CREATE; }
static inline hid_t sd_h5p_file_access(void) { H5open(); return H5P_FILE_ACCESS; }
static inline unsigned sd_h5f_acc_trunc(void) { return H5F_ACC_TRUNC; }
static inline unsigned sd_h5f_acc_rdonly(void) { return H5F_ACC_RDONLY; }
static inline void sd_h5_silence(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

// Whether a link leads into another file.
static inline int sd_h5_is_external(hid_t file, const char *path) {
  char prefix[1024] = {0};
  const size_t count = strlen(path);
  if (count >= sizeof(prefix)) return 0;
  // Groups on the way can be links too.
  for (size_t i = 1; i <= count; i++) {
    if (path[i] != '/' && path[i] != 0) continue;
    memcpy(prefix, path, i);
    H5L_info_t link;
    if (H5Lget_info(file, prefix, &link, H5P_DEFAULT) < 0) return 0;
    if (link.type == H5L_TYPE_EXTERNAL) return 1;
  }
  return 0;
}

static inline herr_t sd_h5_note(unsigned depth, const H5E_error2_t *error, void *text) {
  (void)depth;
  if (!error->desc) return 0;
  // A filter that is not there is what one can do something about.
  if (!((char *)text)[0] || strstr(error->desc, "required filter")) strncpy((char *)text, error->desc, 255);
  return 0;
}

// What the library says of its last failure: the filter that it lacks, or the innermost description; empty if there was none.
static inline void sd_h5_reason(char text[256]) {
  memset(text, 0, 256);
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, sd_h5_note, text);
}
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void sd_h5_touch_attributes(hid_t item) {
  const int count = H5Aget_num_attrs(item);
  for (int i = 0; i < count; i++) {
    hid_t attribute = H5Aopen_by_idx(item, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0) continue;
    hid_t type = H5Aget_type(attribute);
    const hsize_t size = H5Aget_storage_size(attribute);
    void *bytes = type >= 0 && size < 1 << 20 ? malloc(size + 64) : NULL;
    if (bytes) (void)H5Aread(attribute, type, bytes);
    free(bytes);
    H5Aclose(attribute);
  }
}

// All of a small dataset; of a large one the first and the last element, and how many chunks there are.
static inline void sd_h5_touch_numbers(hid_t dataset) {
  hsize_t extents[H5S_MAX_RANK], start[H5S_MAX_RANK], one[H5S_MAX_RANK], chunks = 0;
  hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
  const H5T_class_t kind = H5Tget_class(type);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || (kind != H5T_FLOAT && kind != H5T_INTEGER)) return;
  H5Sget_simple_extent_dims(space, extents, NULL);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  (void)H5Dget_num_chunks(dataset, space, &chunks);
  if (count <= 0) return;
  if (count <= 1 << 20) {
    double *numbers = malloc((size_t)count * sizeof *numbers);
    if (numbers) (void)H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers);
    free(numbers);
    return;
  }
  double number;
  for (int last = 0; last < 2; last++) {
    for (int axis = 0; axis < rank; axis++) start[axis] = last ? extents[axis] - 1 : 0, one[axis] = 1;
    hid_t memory = H5Screate_simple(rank, one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, one, NULL);
    (void)H5Dread(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, &number);
    H5Sclose(memory);
  }
}

static inline void sd_h5_touch_group(hid_t group, int depth) {
  H5G_info_t information;
  if (depth > 8 || H5Gget_info(group, &information) < 0) return;
  for (hsize_t i = 0; i < information.nlinks && i < 100000; i++) {
    char name[4096];
    if (H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT) < 0) continue;
    hid_t item = H5Oopen(group, name, H5P_DEFAULT);
    if (item < 0) continue;
    sd_h5_touch_attributes(item);
    if (H5Iget_type(item) == H5I_GROUP) sd_h5_touch_group(item, depth + 1);
    if (H5Iget_type(item) == H5I_DATASET) sd_h5_touch_numbers(item);
    H5Oclose(item);
  }
}

/// Whether the library survives reading a file: a child process tries, since damaged metadata can crash it.
static inline int sd_h5_survives(const char *path) {
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    // It has the parent's locks, which must not outlive the parent.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGXCPU};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) signal(fatal[i], SIG_DFL);
    // Threads of a pool block signals, and a child inherits that.
    sigset_t nothing;
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    // A request to stop is for the parent: here it would look like a crash.
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    // Damage can lead in circles: five seconds of computing, and more for large files. A slow disk is no damage: two
    // minutes, and 10 MB a second.
    struct stat status;
    const off_t size = stat(path, &status) == 0 ? status.st_size : 0;
    const struct rlimit computing = {5 + (rlim_t)(size / 100000000), 6 + (rlim_t)(size / 100000000)};
    setrlimit(RLIMIT_CPU, &computing);
    alarm(120 + (unsigned)(size / 10000000));
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file >= 0) {
      hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
      if (root >= 0) {
        sd_h5_touch_attributes(root);
        sd_h5_touch_group(root, 0);
      }
    }
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return 1;
  return WIFEXITED(status);
}
