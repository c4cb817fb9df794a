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
