// What Swift cannot see of MPI: its communicators and types are macros.
#pragma once
#include <mpi.h>

static inline int sd_mpi_start(int *rank, int *count) {
  int given;
  if (MPI_Init_thread(0, 0, MPI_THREAD_FUNNELED, &given)) return 1;
  MPI_Comm_rank(MPI_COMM_WORLD, rank);
  MPI_Comm_size(MPI_COMM_WORLD, count);
  return given < MPI_THREAD_FUNNELED;
}
static inline int sd_mpi_sum(float *values, int count) {
  return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}
static inline int sd_mpi_finish(void) { return MPI_Finalize(); }
