/* Runs a command on the first of the machines of TEST_MACHINES; MACHINES tells agent.sh the way to the
 * others. usage: inside COMMAND [ARGUMENTS...] */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machines.h"

static void tell_agent(void) {
  char words[256];
  int used = 0;
  for (int m = 0; m < machines_number(); m++)
    used += snprintf(words + used, sizeof words - (size_t)used, "%s=%d ", machines_address(m),
                     machines_keeper(m));
  setenv("MACHINES", words, 1);
}

int main(int argc, char **argv) {
  if (argc < 2 || machines_number() == 0) {
    fprintf(stderr, "usage: TEST_MACHINES=2,2 inside COMMAND [ARGUMENTS...]\n");
    return 2;
  }
  machines_build();
  tell_agent();
  pid_t child = fork();
  if (child == 0) {
    machines_enter(0);
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    _exit(127);
  }
  int status = 1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
