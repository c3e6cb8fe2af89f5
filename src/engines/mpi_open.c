/* The MPI engine by Open MPI's ABI, where handles are addresses of variables of the library. */
#include <stdint.h>
typedef void *uni_handle;
#define MPI_TABLE uni_mpi_open
#define MPI_ABI "Open MPI ABI"
#define MPI_WORLD world_handle
#define MPI_RETURN_ERRORS return_errors
#define MPI_MULTIPLE 3
#define MPI_TRUNCATED 15
#define MPI_FROM_ANY (-1)
#define MPI_INPLACE ((void *)1)
#define IGNORE_STATUS ((void *)0)
enum { STATUS_SOURCE = 0 }; /* in ints */

/* By unisono_dtype and unisono_op; NULL where MPI has none. */
#define MPI_TYPE_SYMBOLS                                                                                     \
  {                                                                                                          \
    "ompi_mpi_int8_t", "ompi_mpi_uint8_t", "ompi_mpi_int16_t", "ompi_mpi_uint16_t", "ompi_mpi_int32_t",      \
        "ompi_mpi_uint32_t", "ompi_mpi_int64_t", "ompi_mpi_uint64_t", NULL, NULL, "ompi_mpi_float",          \
        "ompi_mpi_double"                                                                                    \
  }
#define MPI_OP_SYMBOLS                                                                                       \
  {                                                                                                          \
    "ompi_mpi_op_sum", "ompi_mpi_op_prod", "ompi_mpi_op_min", "ompi_mpi_op_max", NULL, "ompi_mpi_op_band",   \
        "ompi_mpi_op_bor", "ompi_mpi_op_bxor"                                                                \
  }
#define MPI_WORLD_SYMBOL "ompi_mpi_comm_world"
#define MPI_RETURN_ERRORS_SYMBOL "ompi_mpi_errors_return"
#define MPI_NEEDS_LAUNCHER true

#include "engines/mpi_calls.h"
