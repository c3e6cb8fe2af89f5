/* The public memory functions. */
#include "comm.h"
#include "error.h"

unisono_status unisono_mem_alloc(unisono_comm *comm, size_t bytes, void **ptr) {
  if (ptr)
    *ptr = NULL;
  unisono_status status = uni_comm_check(comm, "unisono_mem_alloc");
  if (!status && !ptr)
    status = uni_fail(UNISONO_ERROR_INVALID,
                      "unisono_mem_alloc, rank %d: ptr is NULL; give a place for the address", comm->rank);
  return status ? status : uni_memory_alloc(comm->world, bytes, ptr);
}

unisono_status unisono_mem_free(unisono_comm *comm, void *ptr) {
  unisono_status status = comm ? uni_comm_check(comm, "unisono_mem_free") : UNISONO_OK;
  return status || !ptr ? status : uni_memory_free(ptr);
}

unisono_status unisono_mem_register(unisono_comm *comm, void *ptr, size_t bytes) {
  unisono_status status = uni_comm_check(comm, "unisono_mem_register");
  if (status)
    return status;
  if (!ptr || bytes == 0 || bytes > SIZE_MAX - (uintptr_t)ptr)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "unisono_mem_register, rank %d: ptr %p with bytes %zu is no memory", comm->rank, ptr,
                    bytes);
  return uni_memory_register(comm->world, ptr, bytes);
}

unisono_status unisono_mem_deregister(unisono_comm *comm, void *ptr) {
  unisono_status status = comm ? uni_comm_check(comm, "unisono_mem_deregister") : UNISONO_OK;
  if (!status && !ptr)
    status = uni_fail(UNISONO_ERROR_INVALID, "unisono_mem_deregister: ptr is NULL");
  return status ? status : uni_memory_deregister(ptr);
}
