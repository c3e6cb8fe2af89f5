#include "machines.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cable.h"
#include "harness.h"

enum { MOST = 8 };

static const struct {
  const char *name;
  int flag;
} kinds[] = {{"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"mnt", CLONE_NEWNS}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct machine {
  int ranks;
  pid_t keeper; /* a process that does nothing but be there */
} machines[MOST];
static int number;
static pid_t builder;
static int outside = -1; /* the network namespace of the bridge */
static bool has_ipv6;

static _Noreturn void skip(const char *why) {
  printf("skipped: machines as namespaces: %s\n", why);
  exit(TEST_SKIPPED);
}

static int run(const char *format, ...) {
  char command[300];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(command, sizeof command, format, arguments);
  va_end(arguments);
  return system(command);
}

static void must(int result, const char *what) {
  if (result != 0)
    skip(what);
}

int machines_number(void) {
  if (number)
    return number;
  const char *text = getenv("TEST_MACHINES");
  while (text && *text && number < MOST) {
    char *end;
    machines[number++].ranks = (int)strtol(text, &end, 10);
    text = *end ? end + 1 : end;
  }
  return number;
}

int machines_ranks(void) {
  int all = 0;
  for (int m = 0; m < machines_number(); m++)
    all += machines[m].ranks;
  return all;
}

int machines_of(int rank, int size) {
  if (size != machines_ranks())
    return rank % number;
  int m = 0;
  while (rank >= machines[m].ranks)
    rank -= machines[m++].ranks;
  return m;
}

/* ---- building */

static void keep(int ready, int machine) {
  char name[32];
  snprintf(name, sizeof name, "machine%d", machine);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  bool good = unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) == 0 &&
              sethostname(name, strlen(name)) == 0 &&
              mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
              mount("shm", "/dev/shm", "tmpfs", 0, NULL) == 0 && mount("sys", "/sys", "sysfs", 0, NULL) == 0;
  if (write(ready, &good, sizeof good) != sizeof good)
    _exit(1);
  for (;;)
    pause();
}

static void build(int m) {
  int ready[2];
  bool good = false;
  if (pipe(ready) != 0)
    skip("no pipe");
  fflush(NULL);
  machines[m].keeper = fork();
  if (machines[m].keeper == 0)
    keep(ready[1], m);
  close(ready[1]);
  if (read(ready[0], &good, sizeof good) != sizeof good || !good)
    skip("they are not allowed here (root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)");
  close(ready[0]);
  int pid = (int)machines[m].keeper;
  must(run("ip link add port%d type veth peer name eth0 netns %d", m, pid), "`ip link add type veth` fails");
  must(run("ip link set port%d master bridge && ip link set port%d up", m, m), "`ip link set master` fails");
  must(run("nsenter -n -t %d sh -c 'ip addr add %s/24 dev eth0 && ip link set eth0 up && ip link set lo up'",
           pid, machines_address(m)),
       "`ip addr add` fails");
  if (run("nsenter -n -t %d ip addr add %s/64 dev eth0 nodad 2>/dev/null", pid, machines_address6(m)) == 0)
    has_ipv6 = true;
}

static void remove_all(void) {
  for (int m = 0; m < number && getpid() == builder; m++) /* not when a rank ends */
    if (machines[m].keeper > 0) {
      kill(machines[m].keeper, SIGKILL);
      waitpid(machines[m].keeper, NULL, 0);
    }
}

void machines_build(void) {
  if (machines_number() == 0)
    return;
  must(run("command -v ip nsenter tc >/dev/null"),
       "ip, tc or nsenter is missing (packages iproute2, util-linux)");
  must(unshare(CLONE_NEWNET), "they are not allowed here (root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)");
  outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  must(run("ip link add bridge type bridge && ip link set bridge up"), "`ip link add type bridge` fails");
  builder = getpid();
  for (int m = 0; m < number; m++)
    build(m);
  atexit(remove_all);
}

/* ---- using */

const char *machines_address(int machine) {
  static char text[32];
  snprintf(text, sizeof text, "10.77.0.%d", machine + 1);
  return text;
}

const char *machines_address6(int machine) {
  static char text[32];
  snprintf(text, sizeof text, "fd77::%d", machine + 1);
  return text;
}

bool machines_have_ipv6(void) {
  return has_ipv6;
}

int machines_keeper(int machine) {
  return (int)machines[machine].keeper;
}

void machines_enter(int machine) {
  if (unshare(CLONE_FS) != 0) { /* a sanitizer has a thread, with which folders would be shared */
    perror("unshare");
    _exit(1);
  }
  for (int k = 0; k < KINDS; k++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)machines[machine].keeper, kinds[k].name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, kinds[k].flag) != 0) {
      perror("setns");
      _exit(1);
    }
    close(fd);
  }
}

/* In a child, which goes outside. */
static void outside_do(const char *format, int machine, const char *what) {
  pid_t child = fork();
  if (child == 0) {
    char command[200];
    snprintf(command, sizeof command, format, machine, what);
    _exit(setns(outside, CLONE_NEWNET) != 0 || system(command) != 0);
  }
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    fprintf(stderr, "the network of machine %d could not be changed\n", machine);
    _exit(1);
  }
}

void machines_cut(int machine) {
  outside_do("ip link set port%d down # %s", machine, "");
}

/* Who was looked for in vain is looked for anew. */
void machines_join(int machine) {
  outside_do("ip link set port%d up # %s", machine, "");
  for (int m = 0; m < number; m++)
    if (run("nsenter -n -t %d ip neigh flush dev eth0", (int)machines[m].keeper) != 0)
      fprintf(stderr, "machine %d may take another one for lost for a while\n", m);
}

/* ---- a bad network: by netem, or where the kernel has none by a process that carries the frames */

static bool has_netem(void) {
  pid_t child = fork();
  if (child == 0)
    _exit(setns(outside, CLONE_NEWNET) != 0 ||
          system("tc qdisc replace dev lo root netem delay 1ms 2>/dev/null && tc qdisc del dev lo root") !=
              0);
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void must_wait(pid_t child, const char *what) {
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    fprintf(stderr, "%s failed\n", what);
    _exit(1);
  }
}

/* The machine's port leaves the bridge; the cable leads from it to a new one there. */
static void lay_cable(int machine, int delay_ms, int loss_percent) {
  char port[16], plug[16];
  snprintf(port, sizeof port, "port%d", machine);
  snprintf(plug, sizeof plug, "plug%d", machine);
  if (setns(outside, CLONE_NEWNET) != 0 || run("ip link add plug%d type veth peer name jack%d && ip link set "
                                               "jack%d master bridge up && ip link set plug%d up && ip link "
                                               "set port%d nomaster",
                                               machine, machine, machine, machine, machine) != 0)
    _exit(1);
  char jack[16];
  snprintf(jack, sizeof jack, "jack%d", machine);
  cable_prepare(jack);
  pid_t carrier = fork();
  if (carrier == 0 && setsid() > 0)
    cable_run(port, plug, delay_ms, loss_percent, builder);
  _exit(carrier < 0);
}

void machines_trouble(int machine, int delay_ms, int loss_percent) {
  if (has_netem()) {
    char netem[64];
    snprintf(netem, sizeof netem, "delay %dms loss %d%%", delay_ms, loss_percent);
    outside_do("tc qdisc replace dev port%d root netem %s", machine, netem);
    return;
  }
  pid_t child = fork();
  if (child == 0) {
    machines_enter(machine);
    cable_prepare("eth0");
    _exit(0);
  }
  must_wait(child, "preparing eth0 for a bad cable");
  child = fork();
  if (child == 0)
    lay_cable(machine, delay_ms, loss_percent);
  must_wait(child, "laying a bad cable");
}

void machines_set_environment(const char *address, int port, const char *secret) {
  struct test_rank *self = test_self();
  int local_size = 0;
  for (int r = 0; r < self->size; r++)
    local_size += machines_of(r, self->size) == machines_of(self->rank, self->size);
  test_set_number("RANK", self->rank);
  test_set_number("WORLD_SIZE", self->size);
  test_set_number("LOCAL_WORLD_SIZE", local_size);
  test_set_number("MASTER_PORT", port);
  setenv("MASTER_ADDR", address, 1);
  setenv("UNISONO_SECRET", secret, 1);
}
