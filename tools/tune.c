/* `unisono tune`: two ranks measure the machine, and the library keeps what they found for all who come. */
#include "tool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unisono.h>
#include <unistd.h>

enum { RANKS = 2 };

static const struct argp parser = {
    .parser = tool_no_arguments,
    .doc =
        "Measures what the library's choice of algorithms rests on, with two ranks bound to the first two "
        "processors, and keeps it in the cache folder (XDG_CACHE_HOME, or .cache in the home folder).\vThe "
        "first program that uses the library on a machine measures it in some milliseconds; this does it in "
        "less "
        "than a second, and better. Run it on a quiet machine. UNISONO_TUNE=0 in the environment of a "
        "program "
        "makes it go by built-in figures."};

static int rank_main(int rank, const unisono_unique_id *id) {
  unisono_comm *comm;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!tool_bind(rank, 1)) {
    fprintf(stderr, "unisono tune: no processor to bind rank %d to\n", rank);
    return TOOL_FAILED;
  }
  if (unisono_comm_init(&comm, RANKS, rank, id, NULL) != UNISONO_OK) {
    fprintf(stderr, "unisono tune: rank %d: %s\n", rank, unisono_last_error());
    return TOOL_FAILED;
  }
  unisono_comm_destroy(comm);
  return TOOL_OK;
}

static int measure(const unisono_unique_id *id) {
  pid_t ranks[RANKS];
  int result = TOOL_OK, status;
  setenv("UNISONO_TUNE", "1", 1);
  for (int i = 0; i < RANKS; i++) {
    ranks[i] = fork();
    if (ranks[i] == 0)
      exit(rank_main(i, id));
    if (ranks[i] < 0)
      perror("unisono tune: cannot start a rank");
  }
  for (int i = 0; i < RANKS; i++)
    if (ranks[i] < 0 || waitpid(ranks[i], &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
      result = TOOL_FAILED;
  return result;
}

int tune_main(int argc, char **argv) {
  unisono_unique_id id;
  unisono_info info = {.struct_size = sizeof info};
  argp_parse(&parser, argc, argv, 0, NULL, NULL);
  if (tool_processors() < RANKS) {
    fprintf(stderr, "unisono tune: needs two processors, and may use one; see affinity and cgroup\n");
    return TOOL_FAILED;
  }
  if (unisono_get_unique_id(&id) != UNISONO_OK || measure(&id) != TOOL_OK)
    return TOOL_FAILED;
  unsetenv("UNISONO_TUNE");
  if (unisono_get_info(&info) != UNISONO_OK)
    return TOOL_FAILED;
  printf("%s\n", info.costs);
  if (!strstr(info.costs, " from ")) {
    fprintf(stderr,
            "unisono tune: nothing was kept: there is no cache folder, or the processors have other work\n");
    return TOOL_FAILED;
  }
  return TOOL_OK;
}
