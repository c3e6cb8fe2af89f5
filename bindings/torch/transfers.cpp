/* Sends and receives. */
#include "backend.h"

namespace unisono {

static const Tensor &the_tensor(const char *what, const vector<Tensor> &tensors, int tag) {
  TORCH_CHECK(tensors.size() == 1, "unisono: ", what, " takes one tensor, not ", tensors.size());
  TORCH_CHECK(tensors[0].device().is_cpu() && tensors[0].layout() == at::kStrided, "unisono: ", what,
              " takes a dense CPU tensor");
  TORCH_CHECK(tag >= 0, "unisono: ", what, " takes a tag from 0 on, not ", tag);
  return tensors[0];
}

template <typename Start>
WorkPtr ProcessGroupUnisono::transfer(c10d::OpType type, const char *title, vector<Tensor> &tensors,
                                      Flat::Use use, int tag, Start start) {
  Flat flat(the_tensor(title, tensors, tag), use);
  auto comm = communicator();
  auto transfer = std::make_unique<Transfer>();
  transfer->buffer = flat.tensor();
  if (use == Flat::output)
    transfer->deliver = at::wrapPropagateTLSState([flat] { flat.finish(); }); /* under the caller's modes */
  {
    std::lock_guard<std::mutex> lock(transfers_mutex_);
    comm->set_timeout(options_->timeout);
    check(start(*comm, *transfer, flat.data(), elements(flat.tensor())));
  }
  return noted(c10::make_intrusive<TransferWork>(rank_, type, title, tensors, comm, std::move(transfer)));
}

WorkPtr ProcessGroupUnisono::send(vector<Tensor> &tensors, int peer, int tag) {
  return transfer(c10d::OpType::SEND, "unisono:send", tensors, Flat::input, tag,
                  [&](unisono_comm *comm, Transfer &t, void *data, Elements e) {
                    return unisono_send_async(data, e.count, e.dtype, peer, tag, comm, &t.request);
                  });
}

WorkPtr ProcessGroupUnisono::recv(vector<Tensor> &tensors, int peer, int tag) {
  return transfer(c10d::OpType::RECV, "unisono:recv", tensors, Flat::output, tag,
                  [&](unisono_comm *comm, Transfer &t, void *data, Elements e) {
                    return unisono_recv_message_async(data, e.count, e.dtype, peer, tag, comm, &t.message,
                                                      &t.request);
                  });
}

WorkPtr ProcessGroupUnisono::recvAnysource(vector<Tensor> &tensors, int tag) {
  return transfer(c10d::OpType::RECVANYSOURCE, "unisono:recvAnySource", tensors, Flat::output, tag,
                  [&](unisono_comm *comm, Transfer &t, void *data, Elements e) {
                    return unisono_recv_message_async(data, e.count, e.dtype, -1, tag, comm, &t.message,
                                                      &t.request);
                  });
}

} // namespace unisono
