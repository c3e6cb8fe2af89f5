/* The same bits on every processor: what all_reduce gives for each type, with all operations, has the hash
 * that it had on x86-64. (The other tests compare with a reference that is compiled for the same processor.)
 */
#include <stdlib.h>

#include "harness.h"
#include "reference.h"

enum { RANKS = 3, COUNT = 5003 };

static const uint64_t expected[DTYPES] = {
    [UNISONO_INT8] = 0x883f7f78e563a88b,    [UNISONO_UINT8] = 0xf9c711bebd86eb35,
    [UNISONO_INT16] = 0x3a1e05836601e227,   [UNISONO_UINT16] = 0xe028670b1f6a7692,
    [UNISONO_INT32] = 0x86e70663f92d341a,   [UNISONO_UINT32] = 0x35a6422f9b695190,
    [UNISONO_INT64] = 0x0f28d6b883503481,   [UNISONO_UINT64] = 0xddba3d52f155d37d,
    [UNISONO_FLOAT16] = 0x6224e5768e1c32ba, [UNISONO_BFLOAT16] = 0xe8dedfd8ebd86d71,
    [UNISONO_FLOAT32] = 0xbffb956bfc41b6cf, [UNISONO_FLOAT64] = 0x68508e25741ee444,
};

/* FNV-1a */
static uint64_t hash(uint64_t so_far, const unsigned char *data, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    so_far = (so_far ^ data[i]) * 0x100000001b3;
  return so_far;
}

static uint64_t digest(unisono_dtype dtype) {
  struct test_rank *self = test_self();
  size_t bytes = COUNT * reference_size(dtype);
  unsigned char *in = malloc(bytes), *out = malloc(bytes);
  uint64_t digest = 0xcbf29ce484222325;
  for (int op = 0; op < OPS; op++)
    if (reference_has_op(dtype, (unisono_op)op)) {
      reference_fill(in, 0, COUNT, dtype, (uint64_t)op + 1, self->rank);
      CHECK_OK(unisono_all_reduce(in, out, COUNT, dtype, (unisono_op)op, self->comm));
      digest = hash(digest, out, bytes);
    }
  free(in);
  free(out);
  return digest;
}

static void test_digest(void) {
  for (int dtype = 0; dtype < DTYPES; dtype++) {
    uint64_t found = digest((unisono_dtype)dtype);
    if (found != expected[dtype])
      FAIL("%s: the hash of the results is 0x%016llx", reference_dtype_name((unisono_dtype)dtype),
           (unsigned long long)found);
  }
}

int main(int argc, char **argv) {
  const struct test tests[] = {{.name = "digest", .body = test_digest, .ranks = {RANKS}}, {0}};
  return test_main(argc, argv, tests);
}
