#include "shm/membarrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static long membarrier(int command) {
  return syscall(SYS_membarrier, command, 0, 0);
}

bool uni_membarrier_register(void) {
  long commands = membarrier(MEMBARRIER_CMD_QUERY);
  return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) &&
         membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
}

void uni_membarrier(void) {
  membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
