#include "shim/connection.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"

namespace crisp::shim {
namespace {

// Until accept4(2) is tried again after an error, as without a descriptor: no event tells of a free
// one.
constexpr int64_t kAcceptRestNs = 100'000'000;

}  // namespace

bool Connection::Open(EventLoop& loop, ConnectionOwner& owner, base::UniqueFd fd) {
  loop_ = &loop;
  owner_ = &owner;
  channel_ = ipc::Channel(std::move(fd));
  has_request_ = false;
  if (loop.Add(channel_.fd(), EPOLLIN, *this)) return true;
  Close();
  return false;
}

void Connection::Close() {
  if (!is_open()) return;
  loop_->Remove(channel_.fd());
  channel_.Close();
}

bool Connection::Send(const ::shim::v1::Reply& reply, int fd) {
  if (!is_open()) return false;
  if (channel_.Send(reply, fd < 0 ? std::vector<int>() : std::vector<int>{fd}).ok()) return true;
  // What crispd sent before it closed says whether it has left or died.
  while (TakeControl()) {
  }
  Close();
  return false;
}

bool Connection::TakeControl() {
  const absl::StatusOr<::shim::v1::Control> control =
      channel_.ReceiveMessage<::shim::v1::Control>(nullptr, base::Deadline::At(0));
  if (control.ok()) owner_->OnControl(*this, *control);
  return control.ok() && is_open();
}

void Connection::Fail(ipc::Step step, int error, absl::string_view detail, bool oom_killed) {
  ::shim::v1::Reply reply;
  reply.mutable_failed()->set_step(ipc::StepName(step));
  reply.mutable_failed()->set_step_number(static_cast<uint32_t>(step));
  reply.mutable_failed()->set_error(error);
  reply.mutable_failed()->set_detail(detail.data(), detail.size());
  reply.mutable_failed()->set_oom_killed(oom_killed);
  (void)Send(reply);
  Close();
}

void Connection::Fail(ipc::Step step, const absl::Status& why) {
  ::shim::v1::Reply reply;
  reply.mutable_failed()->set_step(ipc::StepName(step));
  reply.mutable_failed()->set_step_number(static_cast<uint32_t>(step));
  reply.mutable_failed()->set_exhausted(absl::IsResourceExhausted(why));
  reply.mutable_failed()->set_detail(std::string(why.message()));
  (void)Send(reply);
  Close();
}

void Connection::Done() {
  ::shim::v1::Reply reply;
  reply.mutable_done();
  (void)Send(reply);
  Close();
}

void Connection::OnEvent(uint32_t) {
  absl::StatusOr<ipc::Packet> packet = channel_.Receive(base::Deadline::At(0));
  if (absl::IsDeadlineExceeded(packet.status())) return;  // the event came without a packet
  if (packet.ok() && !has_request_) {
    ::shim::v1::Request request;
    has_request_ = true;
    if (request.ParseFromString(packet->data))
      return owner_->OnRequest(*this, request, std::move(packet->fds));
  } else if (packet.ok()) {
    ::shim::v1::Control control;
    if (control.ParseFromString(packet->data)) return owner_->OnControl(*this, control);
  }
  Close();
  owner_->OnHangup(*this);
}

bool Connections::Open(EventLoop& loop, ConnectionOwner& owner, std::vector<base::UniqueFd> sockets,
                       size_t most) {
  loop_ = &loop;
  owner_ = &owner;
  most_ = most;
  listener_ = std::move(sockets[0]);
  if (fcntl(listener_.get(), F_SETFL, O_NONBLOCK) != 0) return false;
  for (size_t i = 1; i < sockets.size(); ++i) {
    if (fcntl(sockets[i].get(), F_SETFL, O_NONBLOCK) != 0 ||
        !all_.emplace_back().Open(loop, owner, std::move(sockets[i])))
      return false;
  }
  accepting_ = loop.Add(listener_.get(), EPOLLIN, *this);
  return accepting_;
}

bool Connections::AnyOpen() const {
  return std::any_of(all_.begin(), all_.end(), [](const auto& each) { return each.is_open(); });
}

base::UniqueFd Connections::Accept() const {
  return base::UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void Connections::OnEvent(uint32_t) {
  const bool room = all_.size() < most_;
  base::UniqueFd fd = room ? Accept() : base::UniqueFd();
  if (fd.valid()) {
    (void)all_.emplace_back().Open(*loop_, *owner_, std::move(fd));
  } else if (!room || (errno != EAGAIN && errno != ECONNABORTED)) {
    // Until one is closed or, without a descriptor, for a while.
    loop_->Remove(listener_.get());
    accepting_ = false;
    if (room) accept_again_ns_ = base::MonotonicNanos() + kAcceptRestNs;
  }
}

void Connections::FreeClosed() {
  const bool freed = all_.remove_if([](const auto& each) { return !each.is_open(); }) != 0;
  if (accepting_ || (!freed && accept_again_ns_ > base::MonotonicNanos())) return;
  accepting_ = loop_->Add(listener_.get(), EPOLLIN, *this);
  accept_again_ns_ = accepting_ ? INT64_MAX : base::MonotonicNanos() + kAcceptRestNs;
}

void Connections::Tell(const ::shim::v1::Reply& reply) {
  for (Connection& connection : all_) {
    if (connection.is_idle()) (void)connection.Send(reply);
  }
  while (true) {
    const ipc::Channel waiting(Accept());
    if (!waiting.valid()) return;
    (void)waiting.Send(reply);
  }
}

}  // namespace crisp::shim
