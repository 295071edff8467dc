// A whole SPDY session without a socket: frames, header blocks, stream states. The first byte sets
// the size of the pieces that the rest arrives in.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>

#include "streaming/spdy_session.h"

namespace {

using crisp::streaming::ResetCode;
using crisp::streaming::SpdyHeaders;
using crisp::streaming::SpdySession;
using crisp::streaming::Transport;
using crisp::streaming::TransportUser;

class NullTransport : public Transport {
 public:
  void Start(std::shared_ptr<TransportUser>) override {}
  void Send(absl::string_view head, absl::string_view body) override {
    unsent_ += head.size() + body.size();
  }
  size_t unsent() const override { return unsent_; }
  void SetReading(bool) override {}
  void Close() override {}
  void Abort() override {}
  int fd() const override { return -1; }

 private:
  std::shared_ptr<TransportUser> user() const override { return nullptr; }

  size_t unsent_ = 0;
};

// Calls every answering function and checks that events come only for open streams.
class Handler : public SpdySession::Handler {
 public:
  bool OnStream(uint32_t id, const SpdyHeaders& headers) override {
    return headers.Get("streamtype") != "refuse" && id % 8 != 7;
  }
  void OnStreamOpen(uint32_t id) override {
    if (!open_.insert(id).second) __builtin_trap();
  }
  void OnStreamData(uint32_t id, absl::string_view data) override {
    if (open_.count(id) == 0 || data.empty()) __builtin_trap();
    session->Send(id, data);
    if (data[0] == 'r') session->Reset(id, ResetCode::kCancel);
    if (data[0] == 'e') session->End(id);
  }
  void OnStreamEnd(uint32_t id) override {
    if (open_.count(id) == 0) __builtin_trap();
    session->End(id);
  }
  void OnStreamReset(uint32_t id) override {
    if (open_.count(id) == 0) __builtin_trap();
  }

  SpdySession* session = nullptr;

 private:
  std::set<uint32_t> open_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t step = data[0] + 1u;
  absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  NullTransport transport;
  Handler handler;
  SpdySession session(&transport, &handler, 5);
  handler.session = &session;
  while (!rest.empty()) {
    if (!session.Receive(rest.substr(0, step)).ok()) return 0;
    rest.remove_prefix(std::min(step, rest.size()));
  }
  return 0;
}
