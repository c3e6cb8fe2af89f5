#include "rendezvous/launcher.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "env.h"
#include "error.h"

/* The variables of one launcher. */
struct launcher {
  const char *name;
  const char *rank[2], *size[2];
  const char *local_size[4]; /* ranks on this machine */
  const char *machines[4];   /* how many there are, where the ranks on this one are not told */
  const char *job[4];        /* together they name the job among those of the machine */
};

static const struct launcher launchers[] = {
    {"torchrun",
     {"RANK"},
     {"WORLD_SIZE"},
     {"LOCAL_WORLD_SIZE", "LOCAL_SIZE"},
     {NULL},
     {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"}},
    {"Open MPI",
     {"OMPI_COMM_WORLD_RANK"},
     {"OMPI_COMM_WORLD_SIZE"},
     {"OMPI_COMM_WORLD_LOCAL_SIZE"},
     {NULL},
     {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_hnp_uri"}},
    {"MPICH or Intel MPI",
     {"PMI_RANK"},
     {"PMI_SIZE"},
     {"MPI_LOCALNRANKS"},
     {NULL},
     {"PMI_PORT", "PMI_JOBID"}},
    {"Slurm",
     {"SLURM_PROCID"},
     {"SLURM_NTASKS"},
     {NULL},
     {"SLURM_STEP_NUM_NODES", "SLURM_NNODES"},
     {"SLURM_JOB_ID", "SLURM_STEP_ID"}},
};

static unisono_status read_number(const char *const *names, size_t n, int *value, bool *found) {
  const char *list[8] = {NULL};
  memcpy(list, names, n * sizeof *names);
  return uni_env_number(list, value, found);
}

static unisono_status check_numbers(const struct launcher *l, const struct uni_launch *launch) {
  if (launch->size < 1 || launch->rank >= launch->size)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "%s=%d and %s=%d in the environment (%s): the rank must be below the size", l->rank[0],
                    launch->rank, l->size[0], launch->size, l->name);
  return UNISONO_OK;
}

static const char *variable(const char *name) {
  const char *text = name ? getenv(name) : NULL;
  return text ? text : "";
}

/* Where rank 0 listens for the ranks of other machines. */
static unisono_status find_address(struct uni_identity *identity) {
  static const char *const names[] = {"MASTER_PORT", NULL};
  int port;
  bool found;
  unisono_status status = uni_addresses_of(variable("MASTER_ADDR"), &identity->addresses);
  if (!status)
    status = uni_env_number(names, &port, &found);
  if (status || *variable("UNISONO_PORT"))
    return status ? status : uni_identity_choose_ports(identity);
  if (!found || port >= UINT16_MAX)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "MASTER_ADDR is set but neither MASTER_PORT nor UNISONO_PORT; the ranks of "
                    "several machines meet at UNISONO_PORT or MASTER_PORT + 1");
  memset(identity->addresses.ports, 0, sizeof identity->addresses.ports);
  identity->addresses.ports[0] = (uint16_t)(port + 1);
  return UNISONO_OK;
}

/* Ranks of several machines, and nobody says where rank 0 is. */
static unisono_status check_machines(const struct launcher *l) {
  int machines;
  bool found;
  unisono_status status = read_number(l->machines, 4, &machines, &found);
  if (!status && found && machines > 1)
    status =
        uni_fail(UNISONO_ERROR_UNSUPPORTED,
                 "the ranks run on %d machines (%s), and where rank 0 is is not known; set MASTER_ADDR and "
                 "MASTER_PORT on all ranks",
                 machines, l->name);
  return status;
}

/* May there be ranks on other machines, and how do they meet then? */
static unisono_status find_way(const struct launcher *l, struct uni_launch *launch) {
  int local;
  bool found;
  unisono_status status = read_number(l->local_size, 4, &local, &found);
  if (status || (found && local == launch->size) || launch->size == 1)
    return status;
  if (found && (local > launch->size || local < 1))
    return uni_fail(UNISONO_ERROR_INVALID, "%s has %d ranks on this machine and %d in all; check %s", l->name,
                    local, launch->size, l->local_size[0]);
  if (found && !*variable("MASTER_ADDR"))
    return uni_fail(
        UNISONO_ERROR_UNSUPPORTED,
        "%d of %d ranks run on this machine (%s), and where rank 0 is is not known; set MASTER_ADDR and "
        "MASTER_PORT on all ranks",
        local, launch->size, l->name);
  if (!found && (!*variable("MASTER_ADDR") || !(*variable("MASTER_PORT") || *variable("UNISONO_PORT"))))
    return check_machines(l);
  status = find_address(&launch->identity);
  if (status)
    return status;
  struct uni_addresses *a = &launch->identity.addresses;
  if (found || (launch->rank > 0 && !uni_addresses_are_here(a)))
    launch->identity.via = UNI_VIA_NETWORK;
  else if (!uni_addresses_are_loopback(a))
    launch->identity.via = UNI_VIA_BOTH;
  return UNISONO_OK;
}

/* The words that the ranks of this start have in common, and no other start on the machine has. */
static void meeting_words(const struct launcher *l, unsigned count, char *words, size_t n) {
  const char *port = *variable("UNISONO_PORT") ? variable("UNISONO_PORT") : variable("MASTER_PORT");
  const char *ids[4] = {variable(l->job[0]), variable(l->job[1]), variable(l->job[2]), variable(l->job[3])};
  bool named = *variable("MASTER_ADDR") || *port || *ids[0] || *ids[1] || *ids[2] || *ids[3];
  /* hydra names its job nowhere: the ranks of a machine have its proxy as their parent */
  long parent = named ? 0 : (long)getppid();
  snprintf(words, n, "%s|%s|%s|%s|%s|%s|%s|%ld|%ld|%u", l->name, variable("MASTER_ADDR"), port, ids[0],
           ids[1], ids[2], ids[3], parent, (long)geteuid(), count);
}

unisono_status uni_launch_read(struct uni_launch *launch) {
  static _Atomic unsigned starts;
  *launch = (struct uni_launch){.rank = 0, .size = 1};
  for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
    const struct launcher *l = &launchers[i];
    bool has_rank, has_size;
    unisono_status status = read_number(l->rank, 2, &launch->rank, &has_rank);
    if (!status)
      status = read_number(l->size, 2, &launch->size, &has_size);
    if (status)
      return status;
    if (!has_rank && !has_size)
      continue;
    if (!has_rank || !has_size)
      return uni_fail(UNISONO_ERROR_INVALID, "the environment has %s but not %s; set both",
                      has_rank ? l->rank[0] : l->size[0], has_rank ? l->size[0] : l->rank[0]);
    status = check_numbers(l, launch);
    if (status)
      return status;
    char words[512];
    meeting_words(l, atomic_fetch_add_explicit(&starts, 1, memory_order_relaxed), words, sizeof words);
    status = uni_identity_derive(words, getenv("UNISONO_SECRET"), &launch->identity);
    return status ? status : find_way(l, launch);
  }
  return UNISONO_OK;
}
