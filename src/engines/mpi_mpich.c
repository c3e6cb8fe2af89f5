/* The MPI engine by MPICH's ABI, which Intel MPI has too (the initiative of 2013). */
typedef int uni_handle;
#define MPI_TABLE uni_mpi_mpich
#define MPI_ABI "MPICH ABI"
#define MPI_WORLD 0x44000000
#define MPI_RETURN_ERRORS 0x54000001
#define MPI_MULTIPLE 3
#define MPI_TRUNCATED 14
#define MPI_FROM_ANY (-2)
#define MPI_INPLACE ((void *)-1)
#define IGNORE_STATUS ((void *)1)
enum { STATUS_SOURCE = 2 }; /* in ints */

/* By unisono_dtype and unisono_op; 0 where MPI has none. */
#define MPI_TYPES                                                                                            \
  {                                                                                                          \
    0x4c000137, 0x4c00013b, 0x4c000238, 0x4c00023c, 0x4c000439, 0x4c00043d, 0x4c00083a, 0x4c00083e, 0, 0,    \
        0x4c00040a, 0x4c00080b                                                                               \
  }
#define MPI_OPS                                                                                              \
  { 0x58000003, 0x58000004, 0x58000002, 0x58000001, 0, 0x58000006, 0x58000008, 0x5800000a }

#include "engines/mpi_calls.h"
