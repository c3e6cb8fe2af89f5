/* A program outside the project: includes the installed header alone and sums with one rank. */
#include <unisono.h>

int main(void) {
  unisono_comm *comm = 0;
  unisono_unique_id id;
  unisono_config config = UNISONO_CONFIG_INIT;
  float data[3] = {1, 2, 3};
  if (unisono_get_unique_id(&id) || unisono_comm_init(&comm, 1, 0, &id, &config))
    return 1;
  if (unisono_all_reduce(data, data, 3, UNISONO_FLOAT32, UNISONO_SUM, comm) || data[2] > 3 || data[2] < 3)
    return 2;
  return unisono_comm_destroy(comm) ? 3 : 0;
}
