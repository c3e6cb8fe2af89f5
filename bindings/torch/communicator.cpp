#include "communicator.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace unisono {

void check(unisono_status status) {
  if (status == UNISONO_OK)
    return;
  /* "Timed out" are the words by which programs know gloo's time limit. */
  const char *begin = status == UNISONO_ERROR_TIMEOUT ? "unisono: Timed out waiting: " : "unisono: ";
  std::string text = std::string(begin) + unisono_last_error();
  if (status == UNISONO_ERROR_INVALID || status == UNISONO_ERROR_UNSUPPORTED)
    TORCH_CHECK(false, text);
  C10_THROW_ERROR(DistBackendError, text);
}

/* The library's form: milliseconds in an int, -1 for none. */
static int library_timeout(milliseconds timeout) {
  return (int)std::clamp<milliseconds::rep>(timeout.count(), 1, std::numeric_limits<int>::max());
}

Communicator::~Communicator() {
  unisono_comm_destroy(comm_); /* ends what is under way */
  for (auto &transfer : adopted_)
    unisono_wait(&transfer->request);
}

void Communicator::adopt(std::unique_ptr<Transfer> transfer) {
  std::lock_guard<std::mutex> lock(adopted_mutex_);
  release_finished();
  adopted_.push_back(std::move(transfer));
}

void Communicator::release_finished() {
  auto is_finished = [](std::unique_ptr<Transfer> &transfer) {
    int done;
    unisono_status status = unisono_test(transfer->request, &done);
    if (!done)
      return false;
    unisono_wait(&transfer->request);
    if (!status && transfer->deliver)
      transfer->deliver();
    return true;
  };
  adopted_.erase(std::remove_if(adopted_.begin(), adopted_.end(), is_finished), adopted_.end());
}

void Communicator::set_timeout(milliseconds timeout) {
  if (timeout == timeout_.load())
    return;
  check(unisono_comm_set_timeout(comm_, library_timeout(timeout)));
  timeout_ = timeout;
}

/* Ranks join a store equally often, so the count tells a new group from what an earlier one left in the
 * store. */
static std::string meeting_key(c10d::Store &store, int rank) {
  int64_t times = store.add("unisono/joined/" + std::to_string(rank), 1);
  return "unisono/id/" + std::to_string(times);
}

static unisono_unique_id exchange_id(c10d::Store &store, int rank) {
  std::string key = meeting_key(store, rank);
  unisono_unique_id id;
  if (rank == 0) {
    check(unisono_get_unique_id(&id));
    store.set(key, std::vector<uint8_t>(id.bytes, id.bytes + sizeof id.bytes));
  } else {
    std::vector<uint8_t> bytes = store.get(key);
    TORCH_CHECK(bytes.size() == sizeof id.bytes, "unisono: the store has something else under ", key);
    memcpy(id.bytes, bytes.data(), sizeof id.bytes);
  }
  return id;
}

std::shared_ptr<World> World::meet(c10d::Store &store, const std::vector<int64_t> &ranks, int rank,
                                   milliseconds timeout) {
  unisono_unique_id id = exchange_id(store, rank);
  unisono_config config = UNISONO_CONFIG_INIT;
  config.timeout_ms = library_timeout(timeout);
  unisono_comm *root;
  check(unisono_comm_init(&root, (int)ranks.size(), rank, &id, &config));
  return std::shared_ptr<World>(new World(root, ranks));
}

int World::index(int64_t global_rank) const {
  auto found = std::find(ranks_.begin(), ranks_.end(), global_rank);
  return found == ranks_.end() ? -1 : (int)(found - ranks_.begin());
}

bool World::has(const std::vector<int64_t> &ranks) const {
  return std::all_of(ranks.begin(), ranks.end(), [&](int64_t rank) { return index(rank) >= 0; });
}

std::shared_ptr<Communicator> World::make(const std::vector<int64_t> &ranks, milliseconds timeout) {
  std::vector<int> members;
  for (int64_t rank : ranks)
    members.push_back(index(rank));
  std::lock_guard<std::mutex> lock(mutex_);
  root_.set_timeout(timeout);
  unisono_comm *comm;
  check(unisono_comm_create(root_, members.data(), (int)members.size(), &comm));
  return std::make_shared<Communicator>(comm);
}

void *World::alloc(size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  void *memory;
  return unisono_mem_alloc(root_, bytes, &memory) ? nullptr : memory;
}

} // namespace unisono
