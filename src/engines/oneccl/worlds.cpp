/* A world: all ranks of all machines. */
#include <dlfcn.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "adapter.hpp"

namespace oneccl_engine {

static std::timed_mutex calls;
static std::atomic<int> waiting{0}; /* threads; those that only try let them pass */

Turn::Turn() {
  waiting++;
  lock_ = std::unique_lock<std::timed_mutex>(calls, std::chrono::seconds(10));
  waiting--;
  if (!lock_)
    throw std::runtime_error(
        "oneCCL has been busy for 10 s with a connection to machines that do not answer");
}

Turn::Turn(std::try_to_lock_t) noexcept {
  if (waiting == 0)
    lock_ = std::unique_lock<std::timed_mutex>(calls, std::try_to_lock);
}

/* At the end of the process nobody may be in oneCCL, which takes itself apart then. Who waits there for a
 * lost peer never comes out: then the process ends without its farewell. */
static void end_calls(int status, void *) {
  waiting++; /* nobody gets a turn any more */
  if (calls.try_lock_for(std::chrono::seconds(1)))
    return;
  std::fflush(nullptr);
  _exit(status);
}

/* In a virtual environment libfabric and its parts lie beside oneCCL, which looks elsewhere. */
static void find_fabric() {
  Dl_info oneccl;
  if (!dladdr(reinterpret_cast<void *>(&ccl::get_library_version), &oneccl))
    return;
  std::string folder(oneccl.dli_fname);
  folder.erase(folder.find_last_of('/') + 1);
  std::string library = folder + "libfabric.so.1";
  if (access(library.c_str(), R_OK) == 0)
    setenv("CCL_OFI_LIBRARY_PATH", library.c_str(), 0);
  if (access((folder + "libtcp-fi.so").c_str(), R_OK) == 0)
    setenv("FI_PROVIDER_PATH", folder.c_str(), 0);
}

static void start_oneccl() {
  static bool started = false;
  Turn turn;
  find_fabric();
  ccl::init();
  if (!started)
    on_exit(end_calls, nullptr); /* it comes before what oneCCL has registered */
  started = true;
}

struct Meeting {
  unisono_exchange exchange;
  void *what;
  int rank, size;

  template <class T> std::vector<T> all(const T &mine) const {
    std::vector<T> everybodys(static_cast<size_t>(size));
    unisono_status status = exchange(what, &mine, sizeof mine, everybodys.data());
    if (status != UNISONO_OK)
      throw ExchangeFailed{status};
    return everybodys;
  }
};

/* oneCCL wants to know which of how many ranks this is on its machine, which it tells by the name. */
static void set_local_place(const Meeting &meeting) {
  struct Name {
    char text[HOST_NAME_MAX + 1];
  } mine{};
  gethostname(mine.text, sizeof mine.text - 1);
  std::vector<Name> names = meeting.all(mine);
  int before = 0, alike = 0;
  for (int r = 0; r < meeting.size; r++)
    if (std::strcmp(names[static_cast<size_t>(r)].text, mine.text) == 0) {
      before += r < meeting.rank;
      alike++;
    }
  setenv("CCL_LOCAL_RANK", std::to_string(before).c_str(), 0);
  setenv("CCL_LOCAL_SIZE", std::to_string(alike).c_str(), 0);
}

/* All ranks take `making`, or none: some may be making a group of another world. */
static std::unique_lock<std::mutex> begin_making(const Meeting &meeting) {
  for (;;) {
    std::unique_lock<std::mutex> lock(making, std::try_to_lock);
    bool all = true;
    for (bool one : meeting.all(static_cast<char>(lock.owns_lock())))
      all = all && one;
    if (all)
      return lock;
    if (lock)
      lock.unlock();
    usleep(1000);
  }
}

static ccl::shared_ptr_class<ccl::kvs> meet(const Meeting &meeting) {
  ccl::shared_ptr_class<ccl::kvs> store;
  ccl::kvs::address_type address{};
  if (meeting.rank == 0) {
    Turn turn;
    store = ccl::create_main_kvs();
    address = store->get_address();
  }
  address = meeting.all(address)[0];
  Turn turn;
  return store ? store : ccl::create_kvs(address);
}

World *open_world(int rank, int size, unisono_exchange exchange, void *what) {
  Meeting meeting{exchange, what, rank, size};
  set_local_place(meeting);
  start_oneccl();
  auto world = std::make_unique<World>();
  world->rank = rank;
  world->size = size;
  world->peers.resize(static_cast<size_t>(size));
  std::unique_lock<std::mutex> lock = begin_making(meeting);
  ccl::shared_ptr_class<ccl::kvs> store = meet(meeting);
  Turn turn;
  world->comm = std::make_unique<ccl::communicator>(ccl::create_communicator(size, rank, store));
  return world.release();
}

} // namespace oneccl_engine
