#include "shim/connection.h"

namespace crisp::shim {

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

}  // namespace crisp::shim
