/* The MPI engine by the standard ABI of MPI 5. */
#include <stdint.h>
typedef void *uni_handle;
#define MPI_TABLE uni_mpi_standard
#define MPI_ABI "MPI 5 ABI"
#define MPI_WORLD ((void *)0x101)
#define MPI_RETURN_ERRORS ((void *)0x143)
#define MPI_MULTIPLE 4096
#define MPI_TRUNCATED 15
#define MPI_FROM_ANY (-1)
#define MPI_INPLACE ((void *)1)
#define IGNORE_STATUS ((void *)0)
enum { STATUS_SOURCE = 0 }; /* in ints */

/* By unisono_dtype and unisono_op; NULL where MPI has none. */
#define MPI_TYPES                                                                                            \
  {                                                                                                          \
    (void *)0x240, (void *)0x241, (void *)0x248, (void *)0x249, (void *)0x250, (void *)0x251, (void *)0x258, \
        (void *)0x259, NULL, NULL, (void *)0x210, (void *)0x214                                              \
  }
#define MPI_OPS                                                                                              \
  { (void *)0x21, (void *)0x24, (void *)0x22, (void *)0x23, NULL, (void *)0x28, (void *)0x29, (void *)0x2a }

#include "engines/mpi_calls.h"
