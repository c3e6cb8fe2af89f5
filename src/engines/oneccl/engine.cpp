/* The table of functions that the library takes. Nothing is thrown out of here: the words of what was are for
 * last_error. */
#include <cstdio>
#include <cstring>
#include <numeric>
#include <string>

#include "adapter.hpp"

using namespace oneccl_engine;

static thread_local std::string words;

template <class F> static unisono_status guarded(F body) noexcept {
  try {
    body();
    return UNISONO_OK;
  } catch (const ExchangeFailed &failed) {
    words.clear();
    return failed.status;
  } catch (const std::bad_alloc &) {
    words = "no memory";
    return UNISONO_ERROR_MEMORY;
  } catch (const std::exception &error) {
    words = error.what();
    return UNISONO_ERROR_SYSTEM;
  }
}

static const char *last_error(void *) {
  return words.c_str();
}

static unisono_status open(void *, int rank, int size, unisono_exchange exchange, void *what, void **world) {
  return guarded([&] { *world = open_world(rank, size, exchange, what); });
}

static void close(void *) {} /* see adapter.hpp */

static unisono_status group(void *world, const int *ranks, int n, int tag, void **out) {
  return guarded([&] { *out = new_group(static_cast<World *>(world), ranks, n, tag); });
}

/* Starts something, in a turn. */
template <class F> static unisono_status begin(void **request, F body) noexcept {
  return guarded([&] {
    Turn turn;
    *request = body();
  });
}

/* By unisono_dtype. */
static const ccl::datatype types[] = {
    ccl::datatype::int8,    ccl::datatype::uint8,    ccl::datatype::int16,   ccl::datatype::uint16,
    ccl::datatype::int32,   ccl::datatype::uint32,   ccl::datatype::int64,   ccl::datatype::uint64,
    ccl::datatype::float16, ccl::datatype::bfloat16, ccl::datatype::float32, ccl::datatype::float64};

/* By unisono_op; what is not there has a function of ours. */
static const ccl::reduction reductions[] = {ccl::reduction::sum, ccl::reduction::prod, ccl::reduction::min,
                                            ccl::reduction::max};

static unisono_status all_reduce(void *group, void *buffer, size_t count, unisono_dtype dtype, unisono_op op,
                                 void **request) {
  auto *g = static_cast<Group *>(group);
  ccl::reduction_fn ours = reduction_of(dtype, op);
  return begin(request, [&] {
    return collective(g, [=] {
      auto attributes = ccl::create_operation_attr<ccl::allreduce_attr>();
      if (ours)
        attributes.set<ccl::allreduce_attr_id::reduction_fn>(ours);
      return ccl::allreduce(buffer, buffer, count, types[dtype],
                            ours ? ccl::reduction::custom : reductions[op], *g->comm, attributes);
    });
  });
}

class Blocks {
public:
  Blocks(char *buffer, const size_t *bytes, const size_t *displs, size_t n)
      : buffer_(buffer), bytes_(bytes, bytes + n), displs_(displs, displs + n) {}
  const std::vector<size_t> &counts() const { return bytes_; }
  char *of(size_t rank) const { return buffer_ + displs_[rank]; }
  char *first() const { return of(0); }
  size_t all() const { return std::accumulate(bytes_.begin(), bytes_.end(), size_t{0}); }

  bool are_apart() const {
    size_t end = displs_[0];
    for (size_t i = 0; i < bytes_.size(); end += bytes_[i++])
      if (bytes_[i] && displs_[i] != end)
        return true;
    return false;
  }

  /* Where they were gathered in one piece, to their places. */
  void spread(const std::vector<char> &whole, size_t mine) const {
    const char *from = whole.data();
    for (size_t i = 0; i < bytes_.size() && !whole.empty(); from += bytes_[i++])
      if (i != mine && bytes_[i])
        std::memcpy(of(i), from, bytes_[i]);
  }

private:
  char *buffer_;
  std::vector<size_t> bytes_, displs_;
};

static unisono_status broadcast(void *group, void *buffer, size_t bytes, int root, void **request) {
  auto *g = static_cast<Group *>(group);
  return begin(request, [&] {
    return collective(g, [=] { return ccl::broadcast(buffer, bytes, ccl::datatype::uint8, root, *g->comm); });
  });
}

/* In one piece: where blocks lie apart oneCCL would wait for all of it at the start. */
static unisono_status all_gather(void *group, void *buffer, const size_t *bytes, const size_t *displs,
                                 void **request) {
  auto *g = static_cast<Group *>(group);
  return begin(request, [&] {
    Blocks blocks(static_cast<char *>(buffer), bytes, displs, g->ranks.size());
    auto whole = std::make_shared<std::vector<char>>(blocks.are_apart() ? blocks.all() : 0);
    char *to = blocks.are_apart() ? whole->data() : blocks.first();
    auto mine = static_cast<size_t>(g->rank);
    return collective(
        g,
        [=] {
          return ccl::allgatherv(blocks.of(mine), blocks.counts()[mine], to, blocks.counts(),
                                 ccl::datatype::uint8, *g->comm);
        },
        [=] { blocks.spread(*whole, mine); });
  });
}

static unisono_status send_bytes(void *group, const void *buffer, size_t bytes, int peer, int tag,
                                 void **request) {
  return begin(request, [&] {
    return send(static_cast<Group *>(group), buffer, bytes, peer, static_cast<uint32_t>(tag));
  });
}

static unisono_status receive_bytes(void *group, void *buffer, size_t bytes, int peer, int tag,
                                    void **request) {
  return begin(request, [&] {
    return receive(static_cast<Group *>(group), buffer, bytes, peer, static_cast<uint32_t>(tag));
  });
}

static unisono_status test(void *request, int *done) {
  auto *r = static_cast<Request *>(request);
  return guarded([&] {
    Turn turn(std::try_to_lock);
    *done = turn && r->test();
    if (*done)
      delete r;
  });
}

static const unisono_engine engine = {sizeof engine, "oneccl",   nullptr,   open,       close,
                                      group,         all_reduce, broadcast, all_gather, send_bytes,
                                      receive_bytes, test,       last_error};

/* Why this oneCCL cannot serve; nullptr: it can. */
static const char *objection(const ccl::library_version &version) {
  if (version.major != CCL_MAJOR_VERSION)
    return "unisono was built with another one";
  if (version.cl_backend_name == "DPCPP")
    return "it is the one for SYCL's devices, which waits in every call: package oneccl-cpu has the other";
  return nullptr;
}

/* The engine, and its version in words; or nullptr, and why it cannot serve. */
extern "C" __attribute__((visibility("default"))) const unisono_engine *unisono_oneccl(char *text, size_t n) {
  ccl::library_version version = ccl::get_library_version();
  const char *why_not = objection(version);
  std::snprintf(text, n, "%soneCCL %u.%u.%u%s%s", why_not ? "not usable: " : "", version.major, version.minor,
                version.update, why_not ? ": " : "", why_not ? why_not : "");
  return why_not ? nullptr : &engine;
}
