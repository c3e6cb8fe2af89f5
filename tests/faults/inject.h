/* Makes one call of the library fail: of malloc and its kin, or of the kernel. The functions are replaced in
 * the test program itself, so that the library finds these before the C library's; calls by others are passed
 * on. */
#ifndef TESTS_INJECT_H
#define TESTS_INJECT_H

/* The n-th call from now on fails, once; 0: none, they are only counted. */
void inject_arm(long n);

/* Back to normal. Returns how many calls there were. */
long inject_disarm(void);

/* What was made to fail: "mmap"; NULL: nothing. */
const char *inject_failed(void);

#endif
