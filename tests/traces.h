/* What a process holds of the machine: to see that nothing stays behind. */
#ifndef TESTS_TRACES_H
#define TESTS_TRACES_H

struct traces {
  int descriptors, mappings, threads, shm_files;
  int kept_by_exec; /* of the descriptors: those that programs executed by this one would inherit */
};

struct traces traces_now(void);

/* Fails the test when there is more of anything than before (mappings: than before and some, for malloc's).
 */
void traces_check(const struct traces *before);

#endif
