/* LD_PRELOAD: rank 1's float32 results of all_reduce have a wrong last element, all else is as it was. */
#include <dlfcn.h>
#include <unisono.h>

unisono_status unisono_all_reduce(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                  unisono_op op, unisono_comm *comm) {
  unisono_status (*real)(const void *, void *, size_t, unisono_dtype, unisono_op, unisono_comm *);
  *(void **)&real = dlsym(RTLD_NEXT, "unisono_all_reduce");
  unisono_status status = real(send, recv, count, dtype, op, comm);
  if (status == UNISONO_OK && dtype == UNISONO_FLOAT32 && count > 0 && unisono_comm_rank(comm) == 1)
    ((float *)recv)[count - 1] += 1;
  return status;
}
