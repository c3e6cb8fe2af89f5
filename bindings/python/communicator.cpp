#include "communicator.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>

#include "arrays.h"
#include "errors.h"

using Counts = std::vector<size_t>;

/* Calls the library while other threads have the interpreter; raises what it returns. */
template <typename Function, typename... Arguments>
static void released(Function function, Arguments... arguments) {
  unisono_status status;
  {
    nb::gil_scoped_release release;
    status = function(arguments...);
  }
  check(status);
}

/* ---- requests */

/* A started operation, and all that it needs until it is done. */
class Request {
public:
  Request(nb::object communicator, nb::object result, std::vector<Array> arrays)
      : communicator_(std::move(communicator)), result_(std::move(result)), arrays_(std::move(arrays)) {}
  Request(const Request &) = delete;
  ~Request() { /* the operation uses the arrays: it has to end first */
    nb::gil_scoped_release release;
    unisono_wait(&request_);
  }

  unisono_request **place() { return &request_; }
  unisono_message *message() { return &message_; }

  nb::object wait() {
    released(unisono_wait, &request_);
    return result();
  }

  /* The failure of an operation that is done is raised by wait. */
  bool done() {
    int is_done = 1;
    if (request_)
      unisono_test(request_, &is_done);
    return is_done;
  }

  void receives() { is_receive_ = true; }

private:
  nb::object result() const { return is_receive_ ? nb::cast(message_) : result_; }

  unisono_request *request_ = nullptr;
  unisono_message message_ = {};
  bool is_receive_ = false;
  nb::object communicator_, result_;
  std::vector<Array> arrays_;
};

/* ---- communicators */

class Communicator {
public:
  explicit Communicator(unisono_comm *comm) : comm_(comm) {}
  Communicator(const Communicator &) = delete;
  ~Communicator() { unisono_comm_destroy(comm_); }

  unisono_comm *get() const {
    if (!comm_)
      raise(UNISONO_ERROR_INVALID, "the communicator was destroyed");
    return comm_;
  }
  void destroy() {
    nb::gil_scoped_release release;
    unisono_comm_destroy(comm_);
    comm_ = nullptr;
  }
  std::string call(const char *name) const {
    return std::string(name) + ", rank " + std::to_string(unisono_comm_rank(get()));
  }
  size_t size() const { return (size_t)unisono_comm_size(get()); }
  bool is_rank(int rank) const { return unisono_comm_rank(get()) == rank; }

private:
  unisono_comm *comm_;
};

using Owned = std::unique_ptr<Communicator>;

template <typename Make> static Owned make(Make make) {
  unisono_comm *comm = nullptr;
  released(make, &comm);
  return comm ? std::make_unique<Communicator>(comm) : nullptr;
}

static unisono_config configured(int timeout_ms) {
  unisono_config config = UNISONO_CONFIG_INIT;
  config.timeout_ms = timeout_ms;
  return config;
}

static nb::bytes unique_id() {
  unisono_unique_id id;
  check(unisono_get_unique_id(&id));
  return nb::bytes(id.bytes, sizeof id.bytes);
}

static Owned init(int size, int rank, nb::bytes bytes, int timeout_ms) {
  unisono_unique_id id;
  if (bytes.size() != sizeof id.bytes)
    raise(UNISONO_ERROR_INVALID,
          "id has " + std::to_string(bytes.size()) + " bytes; give one of unisono.unique_id()");
  memcpy(id.bytes, bytes.c_str(), sizeof id.bytes);
  unisono_config config = configured(timeout_ms);
  return make([&](unisono_comm **comm) { return unisono_comm_init(comm, size, rank, &id, &config); });
}

static Owned from_env(int timeout_ms) {
  unisono_config config = configured(timeout_ms);
  return make([&](unisono_comm **comm) { return unisono_comm_init_env(comm, &config); });
}

static Owned split(const Communicator &c, int color, int key) {
  unisono_comm *parent = c.get();
  return make([&](unisono_comm **comm) { return unisono_comm_split(parent, color, key, comm); });
}

static Owned create(const Communicator &c, const std::vector<int> &ranks) {
  unisono_comm *parent = c.get();
  return make([&](unisono_comm **comm) {
    return unisono_comm_create(parent, ranks.data(), (int)ranks.size(), comm);
  });
}

static Owned shrink(const Communicator &c) {
  unisono_comm *parent = c.get();
  return make([&](unisono_comm **comm) { return unisono_comm_shrink(parent, comm); });
}

/* Shared memory as an array of bytes that frees it with its last reference. */
static nb::object alloc(const Communicator &c, size_t bytes) {
  void *memory = nullptr;
  check(unisono_mem_alloc(c.get(), bytes, &memory));
  nb::capsule owner(memory, [](void *p) noexcept { unisono_mem_free(nullptr, p); });
  return nb::cast(nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>(memory, {bytes}, owner),
                  nb::rv_policy::reference);
}

/* ---- operations: each is done at once, or started when `start` says so */

/* What an operation works on; arrays are kept in the order in which they were named. */
struct Operation {
  Operation(nb::handle communicator, const char *name)
      : self(communicator), comm(nb::cast<Communicator &>(communicator)), call(comm.call(name)) {
    arrays.reserve(2);
  }
  const Array &reads(nb::handle array, const char *name = "array") {
    return arrays.emplace_back(array, Access::read, call, name);
  }
  const Array &writes(nb::handle array, const char *name) {
    return arrays.emplace_back(array, Access::write, call, name);
  }
  [[noreturn]] void invalid(const std::string &why) const { raise(UNISONO_ERROR_INVALID, call + ": " + why); }
  /* `larger` has `times` times the elements of `smaller`. */
  void check_sizes(const Array &smaller, const char *small, const Array &larger, const char *large,
                   size_t times) const {
    if (smaller.dtype() != larger.dtype())
      invalid(std::string(small) + " and " + large + " have elements of different types");
    if (larger.count() != smaller.count() * times)
      invalid(std::string(large) + " has " + std::to_string(larger.count()) + " elements; it needs " +
              std::to_string(times) + " times the " + std::to_string(smaller.count()) + " of " + small);
  }

  /* The two forms of a collective take the same arguments, but for the request. */
  template <typename Run, typename Start, typename... Arguments>
  nb::object perform(bool is_started, nb::handle result, Run run, Start start, Arguments... arguments) {
    if (!is_started) {
      released(run, arguments...);
      return nb::borrow(result);
    }
    auto started = request(result);
    released(start, arguments..., started->place());
    return nb::cast(std::move(started));
  }

  std::unique_ptr<Request> request(nb::handle result) {
    return std::make_unique<Request>(nb::borrow(self), nb::borrow(result), std::move(arrays));
  }

  nb::handle self;
  const Communicator &comm;
  std::string call;
  std::vector<Array> arrays;
};

static nb::object barrier(nb::handle self, bool start) {
  Operation o(self, "barrier");
  return o.perform(start, nb::none(), unisono_barrier, unisono_barrier_async, o.comm.get());
}

static nb::object all_reduce(nb::handle self, nb::handle array, nb::handle out, const std::string &op,
                             bool start) {
  Operation o(self, "all_reduce");
  const Array &send = o.reads(array), &recv = o.writes(out, "out");
  o.check_sizes(send, "array", recv, "out", 1);
  return o.perform(start, out, unisono_all_reduce, unisono_all_reduce_async, send.data(), recv.data(),
                   send.count(), send.dtype(), send.op(op), o.comm.get());
}

static nb::object all_reduce_cached(nb::handle self, nb::handle array, nb::handle out, const std::string &op,
                                    const std::string &match_id, bool start) {
  Operation o(self, "all_reduce_cached");
  const Array &send = o.reads(array), &recv = o.writes(out, "out");
  o.check_sizes(send, "array", recv, "out", 1);
  return o.perform(start, out, unisono_all_reduce_cached, unisono_all_reduce_cached_async, send.data(),
                   recv.data(), send.count(), send.dtype(), send.op(op), match_id.c_str(), o.comm.get());
}

static nb::object reduce(nb::handle self, nb::handle array, nb::handle out, const std::string &op, int root,
                         bool start) {
  Operation o(self, "reduce");
  const Array &send = o.reads(array);
  void *result = nullptr;
  if (o.comm.is_rank(root)) {
    const Array &recv = o.writes(out, "out");
    o.check_sizes(send, "array", recv, "out", 1);
    result = recv.data();
  }
  return o.perform(start, out, unisono_reduce, unisono_reduce_async, send.data(), result, send.count(),
                   send.dtype(), send.op(op), root, o.comm.get());
}

static nb::object reduce_scatter(nb::handle self, nb::handle array, nb::handle out, const std::string &op,
                                 bool start) {
  Operation o(self, "reduce_scatter");
  const Array &send = o.reads(array), &recv = o.writes(out, "out");
  o.check_sizes(recv, "out", send, "array", o.comm.size());
  return o.perform(start, out, unisono_reduce_scatter, unisono_reduce_scatter_async, send.data(), recv.data(),
                   recv.count(), send.dtype(), send.op(op), o.comm.get());
}

static nb::object broadcast(nb::handle self, nb::handle array, int root, bool start) {
  Operation o(self, "broadcast");
  const Array &buffer = o.comm.is_rank(root) ? o.reads(array) : o.writes(array, "array");
  return o.perform(start, array, unisono_broadcast, unisono_broadcast_async, buffer.data(), buffer.count(),
                   buffer.dtype(), root, o.comm.get());
}

static nb::object all_gather(nb::handle self, nb::handle array, nb::handle out, bool start) {
  Operation o(self, "all_gather");
  const Array &send = o.reads(array), &recv = o.writes(out, "out");
  o.check_sizes(send, "array", recv, "out", o.comm.size());
  return o.perform(start, out, unisono_all_gather, unisono_all_gather_async, send.data(), recv.data(),
                   send.count(), send.dtype(), o.comm.get());
}

static nb::object gather(nb::handle self, nb::handle array, nb::handle out, int root, bool start) {
  Operation o(self, "gather");
  const Array &send = o.reads(array);
  void *result = nullptr;
  if (o.comm.is_rank(root)) {
    const Array &recv = o.writes(out, "out");
    o.check_sizes(send, "array", recv, "out", o.comm.size());
    result = recv.data();
  }
  return o.perform(start, out, unisono_gather, unisono_gather_async, send.data(), result, send.count(),
                   send.dtype(), root, o.comm.get());
}

static nb::object scatter(nb::handle self, nb::handle array, nb::handle out, int root, bool start) {
  Operation o(self, "scatter");
  const Array &recv = o.writes(out, "out");
  void *blocks = nullptr;
  if (o.comm.is_rank(root)) {
    const Array &send = o.reads(array);
    o.check_sizes(recv, "out", send, "array", o.comm.size());
    blocks = send.data();
  }
  return o.perform(start, out, unisono_scatter, unisono_scatter_async, blocks, recv.data(), recv.count(),
                   recv.dtype(), root, o.comm.get());
}

static nb::object all_to_all(nb::handle self, nb::handle array, nb::handle out, bool start) {
  Operation o(self, "all_to_all");
  const Array &send = o.reads(array), &recv = o.writes(out, "out");
  o.check_sizes(send, "array", recv, "out", 1);
  if (send.count() % o.comm.size())
    o.invalid("array has " + std::to_string(send.count()) + " elements, which " +
              std::to_string(o.comm.size()) + " ranks cannot share equally");
  return o.perform(start, out, unisono_all_to_all, unisono_all_to_all_async, send.data(), recv.data(),
                   send.count() / o.comm.size(), send.dtype(), o.comm.get());
}

/* Blocks that lie one behind the other, in all as long as the array. */
struct Blocks {
  Counts counts, displs;
};

static Blocks blocks(const Operation &o, const Counts &counts, const Array &array, const char *name) {
  if (counts.size() != o.comm.size())
    o.invalid(std::string(name) + " has " + std::to_string(counts.size()) + " counts; give one for each of " +
              std::to_string(o.comm.size()) + " ranks");
  Blocks b;
  size_t sum = 0;
  for (size_t count : counts) {
    b.displs.push_back(sum);
    b.counts.push_back(count * array.components());
    if (__builtin_add_overflow(sum, b.counts.back(), &sum))
      o.invalid(std::string("the counts of ") + name + " are too large");
  }
  if (sum != array.count())
    o.invalid(std::string(name) + " has " + std::to_string(array.count() / array.components()) +
              " elements, its counts make " + std::to_string(sum / array.components()));
  return b;
}

static nb::object all_to_allv(nb::handle self, nb::handle array, const Counts &send_counts, nb::handle out,
                              const Counts &recv_counts, bool start) {
  Operation o(self, "all_to_allv");
  const Array &send = o.reads(array), &recv = o.writes(out, "out");
  Blocks from = blocks(o, send_counts, send, "array"), to = blocks(o, recv_counts, recv, "out");
  if (send.dtype() != recv.dtype())
    o.invalid("array and out have elements of different types");
  return o.perform(start, out, unisono_all_to_allv, unisono_all_to_allv_async, send.data(),
                   from.counts.data(), from.displs.data(), recv.data(), to.counts.data(), to.displs.data(),
                   send.dtype(), o.comm.get());
}

static nb::object all_gatherv(nb::handle self, nb::handle array, nb::handle out, const Counts &recv_counts,
                              bool start) {
  Operation o(self, "all_gatherv");
  const Array &send = o.reads(array), &recv = o.writes(out, "out");
  Blocks to = blocks(o, recv_counts, recv, "out");
  if (send.dtype() != recv.dtype())
    o.invalid("array and out have elements of different types");
  return o.perform(start, out, unisono_all_gatherv, unisono_all_gatherv_async, send.data(), send.count(),
                   recv.data(), to.counts.data(), to.displs.data(), send.dtype(), o.comm.get());
}

static nb::object send(nb::handle self, nb::handle array, int peer, int tag, bool start) {
  Operation o(self, "send");
  const Array &buffer = o.reads(array);
  return o.perform(start, nb::none(), unisono_send, unisono_send_async, buffer.data(), buffer.count(),
                   buffer.dtype(), peer, tag, o.comm.get());
}

static nb::object recv(nb::handle self, nb::handle array, int peer, int tag, bool start) {
  Operation o(self, "recv");
  const Array &buffer = o.writes(array, "array");
  unisono_comm *comm = o.comm.get();
  void *data = buffer.data();
  size_t count = buffer.count();
  unisono_dtype dtype = buffer.dtype();
  if (!start) {
    unisono_message message = {};
    released(unisono_recv_message, data, count, dtype, peer, tag, comm, &message);
    return nb::cast(message);
  }
  auto request = o.request(nb::none());
  request->receives();
  released(unisono_recv_message_async, data, count, dtype, peer, tag, comm, request->message(),
           request->place());
  return nb::cast(std::move(request));
}

/* ---- the module's part */

static nb::object repr(const unisono_message &m) {
  return nb::str("Message(peer={}, tag={}, count={})").format(m.peer, m.tag, m.count);
}

void define_communicator(nb::module_ &m) {
  nb::class_<unisono_message>(m, "Message", "What a receive got.")
      .def_ro("peer", &unisono_message::peer, "the rank that sent it")
      .def_ro("tag", &unisono_message::tag, "the tag it was sent under")
      .def_ro("count", &unisono_message::count, "elements received (a complex number counts as two)")
      .def("__repr__", &repr);

  nb::class_<Request>(m, "Request", "A started operation. Its arrays are in use until it is done.")
      .def(
          "wait", &Request::wait,
          "Wait until the operation is done and return what its blocking form returns; raise what it raises.")
      .def_prop_ro("done", &Request::done, "Is it done? Never waits and never raises.");

  using namespace nb::literals;
  nb::class_<Communicator>(m, "Communicator", "The C API with arrays; use unisono.Communicator.")
      .def_static("init", &init, "size"_a, "rank"_a, "id"_a, "timeout_ms"_a)
      .def_static("from_env", &from_env, "timeout_ms"_a)
      .def("split", &split, "color"_a, "key"_a)
      .def("create", &create, "ranks"_a)
      .def("shrink", &shrink)
      .def("abort", [](const Communicator &c) { check(unisono_comm_abort(c.get())); })
      .def("destroy", &Communicator::destroy)
      .def("set_timeout", [](const Communicator &c, int ms) { check(unisono_comm_set_timeout(c.get(), ms)); })
      .def_prop_ro("rank", [](const Communicator &c) { return unisono_comm_rank(c.get()); })
      .def_prop_ro("size", [](const Communicator &c) { return unisono_comm_size(c.get()); })
      .def("alloc", &alloc, "bytes"_a)
      .def("barrier", &barrier)
      .def("all_reduce", &all_reduce)
      .def("all_reduce_cached", &all_reduce_cached)
      .def("reduce", &reduce, nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg())
      .def("reduce_scatter", &reduce_scatter)
      .def("broadcast", &broadcast)
      .def("all_gather", &all_gather)
      .def("gather", &gather, nb::arg(), nb::arg().none(), nb::arg(), nb::arg())
      .def("scatter", &scatter, nb::arg().none(), nb::arg(), nb::arg(), nb::arg())
      .def("all_to_all", &all_to_all)
      .def("all_to_allv", &all_to_allv)
      .def("all_gatherv", &all_gatherv)
      .def("send", &send)
      .def("recv", &recv);
  m.def("unique_id", &unique_id);
}
