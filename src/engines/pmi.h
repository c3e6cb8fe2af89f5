/* PMI-1, the protocol by which MPI libraries learn of each other's addresses, served to this process's own
 * library over a socket pair: what it puts is exchanged with the other ranks by uni_engine_start.exchange, so
 * it travels over authenticated connections. Every rank seems to be on a machine of its own: what shared
 * memory can do is done before MPI is asked, and no files in /dev/shm stay behind. */
#ifndef UNI_ENGINES_PMI_H
#define UNI_ENGINES_PMI_H

#include "engines/engine.h"

/* Starts a thread that serves; *fd is the library's end (PMI_FD). It ends with the process. */
unisono_status uni_pmi_serve(const struct uni_engine_start *start, int *fd);

/* True: a rank was lost meanwhile, and the library waits for ever. For uni_run_abandonable. */
bool uni_pmi_has_failed(void *unused);

/* In place of MPI_Finalize: waits until all ranks have come to their end, then tells the launcher that this
 * one is over. False: there is no launcher that speaks PMI-1 over an open file (PMI_FD), and it was told
 * nothing. */
bool uni_pmi_leave(void);

#endif
