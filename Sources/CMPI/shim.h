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
static inline int sd_mpi_send(const float *values, int count, int rank, MPI_Request *request) {
  return MPI_Isend(values, count, MPI_FLOAT, rank, 0, MPI_COMM_WORLD, request);
}
static inline int sd_mpi_receive(float *values, int count, int rank, MPI_Request *request) {
  return MPI_Irecv(values, count, MPI_FLOAT, rank, 0, MPI_COMM_WORLD, request);
}
static inline int sd_mpi_sum(double *values, int count, MPI_Request *request) {
  return MPI_Iallreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD, request);
}
// Moves all messages on, and says whether this one has arrived.
static inline int sd_mpi_test(MPI_Request *request, int *done) {
  return MPI_Test(request, done, MPI_STATUS_IGNORE);
}
static inline int sd_mpi_finish(void) { return MPI_Finalize(); }
