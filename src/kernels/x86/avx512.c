/* The kernels for AVX-512. */
#include "kernels/x86/avx512.h"

#include "kernels/vector/kernels.h"

static inline void stream_vec(char *to, vec v) {
  _mm512_stream_si512((__m512i *)(void *)to, (__m512i)v);
}

#include "kernels/x86/stream.h"

void uni_install_avx512_base(struct uni_kernels *table) {
  INSTALL_ALL();
  table->stream = stream;
}
