#include "faults/workload.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "machines.h"

enum { IMMEDIATELY_US = 200000, WITH_MPI = 4 /* times: its threads compete for the processors */ };

static struct call choose_call(uint64_t *random, int size) {
  static const size_t counts[] = {1, 16, 300, 4097, 65536, 1 << 20};
  struct call call = call_random((enum collective)test_below(random, COLLECTIVES), size, 1 << 20, random);
  size_t n = counts[test_below(random, 6)], share = (size_t)size * (size_t)size;
  call.count = n > ((size_t)1 << 22) / share ? ((size_t)1 << 22) / share : n;
  return call;
}

void workload_prepare(struct workload *w, unisono_comm *comm, uint64_t seed) {
  struct call call = choose_call(&seed, unisono_comm_size(comm));
  w->is_ring = test_below(&seed, 8) == 0;
  w->started = test_below(&seed, 4) == 0;
  if (w->is_ring)
    call = (struct call){
        .what = ALL_REDUCE, .dtype = call.dtype, .count = call.count, .mix = call.mix, .seed = seed};
  call_prepare(&w->part, &call, comm);
  test_at("%s, %s, count %zu, mix %d%s", w->is_ring ? "messages" : collective_name(call.what),
          reference_dtype_name(call.dtype), call.count, (int)call.mix, w->started ? ", started" : "");
}

static unisono_status pass_around(struct part *p) {
  unisono_request *request;
  unisono_status sent, received;
  int left = (p->rank + p->size - 1) % p->size, right = (p->rank + 1) % p->size;
  sent = unisono_send_async(p->send_at, p->call.count, p->call.dtype, right, 0, p->comm, &request);
  if (sent)
    return sent;
  received = unisono_recv(p->recv_at, p->call.count, p->call.dtype, left, 0, p->comm);
  sent = unisono_wait(&request);
  return received ? received : sent;
}

unisono_status workload_step(struct workload *w) {
  unisono_request *request;
  if (w->is_ring)
    return pass_around(&w->part);
  if (!w->started)
    return call_issue(&w->part, NULL);
  unisono_status status = call_issue(&w->part, &request);
  return status ? status : unisono_wait(&request);
}

unisono_status workload_run(struct workload *w, int64_t *returned_us) {
  unisono_status status;
  do
    status = workload_step(w);
  while (status == UNISONO_OK);
  *returned_us = test_now_us();
  return status;
}

void check_broken(unisono_comm *comm, unisono_status want) {
  int64_t one = 1, start = test_now_us();
  unisono_request *request = NULL;
  CHECK_STATUS(want, unisono_barrier(comm));
  CHECK_STATUS(want, unisono_all_reduce(&one, &one, 1, UNISONO_INT64, UNISONO_SUM, comm));
  CHECK_STATUS(want, unisono_recv(&one, 1, UNISONO_INT64, -1, -1, comm));
  unisono_status status = unisono_barrier_async(comm, &request);
  CHECK_STATUS(want, status ? status : unisono_wait(&request));
  int patience = test_slow_ms(machines_number() ? WITH_MPI : 1);
  CHECK(test_now_us() - start < (int64_t)patience * IMMEDIATELY_US);
}

void workload_free(struct workload *w) {
  call_free(&w->part);
}

struct later {
  void (*disturb)(void *arg);
  void *arg;
  int64_t us;
};

static void *run_later(void *arg) {
  struct later later = *(struct later *)arg;
  free(arg);
  test_sleep_us(later.us);
  later.disturb(later.arg);
  return NULL;
}

void disturb_later(void (*disturb)(void *arg), void *arg, int64_t us) {
  pthread_t thread;
  struct later *later = malloc(sizeof *later);
  CHECK(later);
  *later = (struct later){disturb, arg, us};
  CHECK(pthread_create(&thread, NULL, run_later, later) == 0);
  pthread_detach(thread);
}

void kill_self(void *arg) {
  (void)arg;
  test_post(SLOT_TIME, test_now_us());
  kill(getpid(), SIGKILL);
}

void stop_self(void *arg) {
  (void)arg;
  test_post(SLOT_TIME, test_now_us());
  kill(getpid(), SIGSTOP);
}
