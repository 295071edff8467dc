#include "streaming/port_forward.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "streaming/fd_stream.h"
#include "streaming/spdy_session.h"

namespace crisp::streaming {
namespace {

// Waiting input over all connections of a session; a single one may have kMaxUnsentBytes of it.
constexpr size_t kMaxInputBytes = 4 << 20;
// Simultaneous connects of a session. Each may take two timeouts if the pod does not answer;
// further ones wait.
constexpr size_t kMaxDials = 16;

// One forwarded connection.
struct Forward {
  explicit Forward(Loop* loop) : timer(loop) {}

  std::string request_id;
  uint32_t error_id = 0;  // 0 until the stream exists
  uint32_t data_id = 0;
  uint16_t port = 0;  // of the data stream
  Timer timer;        // first for both streams to exist, then for the connect
  bool dialing = false;
  std::unique_ptr<FdWatch> connecting;
  absl::Status v4_error;
  std::shared_ptr<FdStream> target;
  std::string early_input;
  bool input_ended = false;
  size_t waiting = 0;  // bytes of input, as of the last Account()
  bool waits_for_room = false;
};

// Starts to connect to localhost: the socket becomes writable when that has ended.
absl::StatusOr<base::UniqueFd> StartConnect(absl::StatusOr<base::UniqueFd> socket, int family,
                                            uint16_t port) {
  if (!socket.ok()) return socket;
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = in6addr_loopback;
  const int result = family == AF_INET
                         ? connect(socket->get(), reinterpret_cast<sockaddr*>(&v4), sizeof(v4))
                         : connect(socket->get(), reinterpret_cast<sockaddr*>(&v6), sizeof(v6));
  if (result != 0 && errno != EINPROGRESS) return base::Errno("connect", "localhost");
  return socket;
}

// The result of a connect: 0 or an errno.
int ConnectError(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

class PortForward : public TransportUser,
                    public std::enable_shared_from_this<PortForward>,
                    private SpdySession::Handler,
                    private FdStream::Owner {
 public:
  PortForward(const SessionContext& context, PortForwardRequest request,
              std::shared_ptr<Transport> transport)
      : context_(context),
        request_(std::move(request)),
        transport_(std::move(transport)),
        session_(transport_.get(), this, kMaxForwardStreams) {}
  ~PortForward() override { CloseAll(); }

  void OnBytes(absl::string_view bytes, bool) override {
    if (session_.Receive(bytes).ok()) return;
    CloseAll();
    transport_->Close();
  }
  void OnWritable() override;
  void OnClosed() override {
    closed_ = true;
    CloseAll();
  }

 private:
  bool OnStream(uint32_t id, const SpdyHeaders& headers) override;
  void OnStreamOpen(uint32_t id) override;
  void OnStreamData(uint32_t id, absl::string_view data) override;
  void OnStreamEnd(uint32_t id) override;
  void OnStreamReset(uint32_t id) override;

  size_t ReadRoom(FdStream* stream) override;
  void OnRead(FdStream* stream, absl::string_view data) override;
  void OnReadEnd(FdStream* stream, int error) override;
  void OnWritten(FdStream* stream) override;
  void OnWriteEnd(FdStream* stream, int error) override;

  void DialNext();
  void Dial(const std::shared_ptr<Forward>& forward, int family);
  void DialStarted(const std::shared_ptr<Forward>& forward, int family,
                   absl::StatusOr<base::UniqueFd> socket);
  void DialEnded(const std::shared_ptr<Forward>& forward, int family, int error);
  void DialFailed(const std::shared_ptr<Forward>& forward, int family, const absl::Status& error);
  void LeaveDial(Forward* forward);
  void Connected(const std::shared_ptr<Forward>& forward, base::UniqueFd target);
  // Ends both streams: with a FIN, or with a reset of the data stream when the connection broke.
  void EndForward(const std::shared_ptr<Forward>& forward, bool broken);
  void Forget(const std::shared_ptr<Forward>& forward);
  void Fail(const std::shared_ptr<Forward>& forward, absl::string_view message);
  void CloseAll();
  void Account(Forward* forward);

  std::shared_ptr<Forward> FindData(uint32_t id) const;
  std::shared_ptr<Forward> FindTarget(const FdStream* stream) const;

  const SessionContext context_;
  const PortForwardRequest request_;
  const std::shared_ptr<Transport> transport_;
  SpdySession session_;
  bool closed_ = false;
  std::unordered_map<std::string, std::shared_ptr<Forward>> by_request_;
  std::unordered_map<uint32_t, std::shared_ptr<Forward>> by_stream_;  // two entries per forward
  std::unordered_map<const FdStream*, std::shared_ptr<Forward>> by_target_;
  std::deque<std::shared_ptr<Forward>> waiting_to_dial_;
  size_t dials_ = 0;                                     // forwards that are dialing
  size_t input_bytes_ = 0;                               // all Forward::waiting
  size_t full_ = 0;                                      // forwards with kMaxUnsentBytes waiting
  std::deque<std::weak_ptr<Forward>> waiting_for_room_;  // in the order they asked
};

// Refuses a stream without a valid port or type, and a second stream of a type for the same
// request.
bool PortForward::OnStream(uint32_t id, const SpdyHeaders& headers) {
  uint32_t port = 0;
  if (!absl::SimpleAtoi(headers.Get("port"), &port) || port == 0 || port > UINT16_MAX) return false;
  const absl::string_view type = headers.Get("streamtype");
  if (type != "error" && type != "data") return false;
  const bool is_error = type == "error";
  std::string request_id(headers.Get("requestid"));
  // Clients before Kubernetes 1.0 send no request id, but open the data stream right after the
  // error stream.
  if (request_id.empty()) request_id = absl::StrCat("stream ", is_error ? id : id - 2);
  std::shared_ptr<Forward>& forward = by_request_[request_id];
  if (!forward) {
    forward = std::make_shared<Forward>(context_.loop);
    forward->request_id = request_id;
    forward->timer.Start(context_.creation_timeout, [this, weak = std::weak_ptr(forward)] {
      if (auto late = weak.lock()) Fail(late, "timed out waiting for streams");
    });
  }
  uint32_t& own_id = is_error ? forward->error_id : forward->data_id;
  if (own_id != 0) return false;
  own_id = id;
  if (!is_error) forward->port = static_cast<uint16_t>(port);
  by_stream_[id] = forward;
  return true;
}

void PortForward::OnStreamOpen(uint32_t id) {
  const std::shared_ptr<Forward> forward = by_stream_[id];
  if (forward->error_id == 0 || forward->data_id == 0) return;
  forward->timer.Cancel();
  waiting_to_dial_.push_back(forward);
  DialNext();
}

void PortForward::DialNext() {
  while (dials_ < kMaxDials && !waiting_to_dial_.empty()) {
    const std::shared_ptr<Forward> forward = std::move(waiting_to_dial_.front());
    waiting_to_dial_.pop_front();
    forward->dialing = true;
    ++dials_;
    Dial(forward, AF_INET);
  }
}

void PortForward::Dial(const std::shared_ptr<Forward>& forward, int family) {
  context_.loop->RunOnWorker([self = shared_from_this(), forward, family] {
    auto socket = std::make_shared<absl::StatusOr<base::UniqueFd>>(
        StartConnect(self->context_.runtime->PodSocket(self->request_.sandbox_id, family), family,
                     forward->port));
    self->context_.loop->Post([self, forward, family, socket] {
      self->DialStarted(forward, family, std::move(*socket));
    });
  });
}

void PortForward::DialStarted(const std::shared_ptr<Forward>& forward, int family,
                              absl::StatusOr<base::UniqueFd> socket) {
  if (closed_ || by_stream_.count(forward->data_id) == 0) return LeaveDial(forward.get());
  if (!socket.ok()) return DialFailed(forward, family, socket.status());
  forward->connecting = std::make_unique<FdWatch>(context_.loop, *std::move(socket));
  const std::weak_ptr<Forward> weak = forward;
  forward->connecting->WhenWritable([this, weak, family] {
    if (auto ended = weak.lock()) DialEnded(ended, family, ConnectError(ended->connecting->fd()));
  });
  forward->timer.Start(context_.connect_timeout, [this, weak, family] {
    if (auto late = weak.lock()) DialEnded(late, family, ETIMEDOUT);
  });
}

void PortForward::DialEnded(const std::shared_ptr<Forward>& forward, int family, int error) {
  forward->timer.Cancel();
  base::UniqueFd socket = forward->connecting->Release();
  forward->connecting.reset();
  // The connection was established and has been reset since.
  const bool broken = error == ECONNRESET || error == EPIPE;
  if (error != 0 && !broken) {
    return DialFailed(forward, family, base::Errno("connect", "localhost", error));
  }
  LeaveDial(forward.get());
  if (broken) return EndForward(forward, true);
  Connected(forward, std::move(socket));
}

void PortForward::DialFailed(const std::shared_ptr<Forward>& forward, int family,
                             const absl::Status& error) {
  if (family == AF_INET) {
    forward->v4_error = error;
    return Dial(forward, AF_INET6);
  }
  LeaveDial(forward.get());
  Fail(forward, absl::StrCat("error forwarding port ", forward->port, " to pod ",
                             request_.sandbox_id, ", uid : ", forward->v4_error.message()));
}

void PortForward::LeaveDial(Forward* forward) {
  forward->dialing = false;
  --dials_;
  DialNext();
}

void PortForward::Connected(const std::shared_ptr<Forward>& forward, base::UniqueFd target) {
  forward->target =
      FdStream::Create(context_.loop, std::move(target), FdStream::AtEnd::kShutdown, this);
  by_target_[forward->target.get()] = forward;
  forward->target->Write(forward->early_input, "");
  forward->early_input = std::string();
  if (!forward->target) return;  // the first write failed, and the connection is closed
  if (forward->input_ended) forward->target->EndWriting();
  forward->target->StartReading();
  Account(forward.get());
}

void PortForward::EndForward(const std::shared_ptr<Forward>& forward, bool broken) {
  if (broken) {
    session_.Reset(forward->data_id, ResetCode::kCancel);
  } else {
    session_.End(forward->data_id);
  }
  session_.End(forward->error_id);
  Forget(forward);
}

// A message on the error stream makes clients end the whole session. Therefore it is sent only for
// a connection that could not be made; one that breaks later just ends.
void PortForward::Fail(const std::shared_ptr<Forward>& forward, absl::string_view message) {
  session_.Send(forward->error_id, message);
  EndForward(forward, true);
}

void PortForward::Forget(const std::shared_ptr<Forward>& forward) {
  forward->timer.Cancel();
  if (forward->connecting) {
    forward->connecting.reset();
    LeaveDial(forward.get());
  }
  if (!forward->dialing) std::erase(waiting_to_dial_, forward);
  by_request_.erase(forward->request_id);
  by_stream_.erase(forward->error_id);
  by_stream_.erase(forward->data_id);
  if (forward->target) {
    by_target_.erase(forward->target.get());
    forward->target->Close();
    forward->target.reset();
  }
  forward->early_input = std::string();
  Account(forward.get());
}

void PortForward::CloseAll() {
  for (const auto& [request_id, forward] : by_request_) {
    forward->timer.Cancel();
    forward->connecting.reset();
    if (forward->target) forward->target->Close();
  }
  waiting_to_dial_.clear();
  by_request_.clear();
  by_stream_.clear();
  by_target_.clear();
}

void PortForward::OnStreamData(uint32_t id, absl::string_view data) {
  const std::shared_ptr<Forward> forward = FindData(id);
  if (!forward) return;
  if (forward->target) {
    forward->target->Write(data, "");
  } else {
    absl::StrAppend(&forward->early_input, data);
  }
  Account(forward.get());
}

void PortForward::OnStreamEnd(uint32_t id) {
  const std::shared_ptr<Forward> forward = FindData(id);
  if (!forward) return;
  forward->input_ended = true;
  if (forward->target) forward->target->EndWriting();
}

void PortForward::OnStreamReset(uint32_t id) {
  auto found = by_stream_.find(id);
  if (found == by_stream_.end()) return;
  const std::shared_ptr<Forward> forward = found->second;
  // A connection works without its error stream.
  if (id == forward->data_id) EndForward(forward, false);
}

void PortForward::OnWritable() {
  session_.OnWritable();
  std::deque<std::weak_ptr<Forward>> waiting = std::move(waiting_for_room_);
  waiting_for_room_.clear();
  for (const std::weak_ptr<Forward>& weak : waiting) {
    const std::shared_ptr<Forward> forward = weak.lock();
    if (!forward || !forward->target) continue;
    forward->waits_for_room = false;
    forward->target->StartReading();
  }
}

// To be called whenever the input waiting for a target may have changed. Clients do not use SPDY's
// flow control, so a connection whose target does not read stops the input of its whole session.
void PortForward::Account(Forward* forward) {
  const size_t before = forward->waiting;
  forward->waiting =
      forward->early_input.size() + (forward->target ? forward->target->buffered() : 0);
  input_bytes_ = input_bytes_ - before + forward->waiting;
  full_ = full_ - (before >= kMaxUnsentBytes) + (forward->waiting >= kMaxUnsentBytes);
  session_.SetReading(full_ == 0 && input_bytes_ < kMaxInputBytes);
}

size_t PortForward::ReadRoom(FdStream* stream) {
  if (const size_t room = transport_->Room(); room > 0) return room;
  const std::shared_ptr<Forward> forward = FindTarget(stream);
  if (!forward->waits_for_room) waiting_for_room_.push_back(forward);
  forward->waits_for_room = true;
  return 0;
}

void PortForward::OnRead(FdStream* stream, absl::string_view data) {
  session_.Send(FindTarget(stream)->data_id, data);
}

void PortForward::OnReadEnd(FdStream* stream, int error) {
  EndForward(FindTarget(stream), error != 0);
}

void PortForward::OnWritten(FdStream* stream) { Account(FindTarget(stream).get()); }

void PortForward::OnWriteEnd(FdStream* stream, int) { EndForward(FindTarget(stream), true); }

std::shared_ptr<Forward> PortForward::FindData(uint32_t id) const {
  auto found = by_stream_.find(id);
  if (found == by_stream_.end() || found->second->data_id != id) return nullptr;
  return found->second;
}

std::shared_ptr<Forward> PortForward::FindTarget(const FdStream* stream) const {
  return by_target_.at(stream);
}

}  // namespace

std::shared_ptr<TransportUser> NewPortForward(const SessionContext& context,
                                              PortForwardRequest request,
                                              std::shared_ptr<Transport> transport) {
  return std::make_shared<PortForward>(context, std::move(request), std::move(transport));
}

}  // namespace crisp::streaming
