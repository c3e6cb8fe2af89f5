/* MPI as an engine, loaded at run time: by the standard ABI of MPI 5 (libmpi_abi), else by MPICH's
 * (libmpi.so.12: MPICH, Intel MPI), else by Open MPI's (libmpi.so.40). */
#ifndef UNI_ENGINES_MPI_H
#define UNI_ENGINES_MPI_H

#include "engines/engine.h"

unisono_status uni_mpi_load(const struct uni_engine **engine);
void uni_mpi_describe(char *words, size_t n);

/* The calls of one ABI: mpi_calls.h, compiled for each. */
struct uni_mpi {
  const char *abi;
  bool needs_launcher;                    /* it connects only what its own mpirun has started */
  struct uni_engine engine;               /* all but `open` and `close` */
  const char *(*bind)(void *library);     /* takes the functions; the name of one that is missing, or NULL */
  bool (*is_up)(void);                    /* MPI_Init was called, and MPI_Finalize not */
  bool (*start)(void);                    /* MPI_Init_thread; false: not with several threads */
  void (*version)(char *words, size_t n); /* the library's words, several lines */
  void (*world)(int *rank, int *size);
  unisono_status (*use)(const int *ranks, int n, void **world); /* our ranks as ranks of MPI_COMM_WORLD */
  void (*finalize)(void);
};

extern const struct uni_mpi uni_mpi_standard, uni_mpi_mpich, uni_mpi_open;

#endif
