#include "streaming/socket_transport.h"

#include <utility>

namespace crisp::streaming {

std::shared_ptr<SocketTransport> SocketTransport::Create(Loop* loop, base::UniqueFd fd) {
  SetSocketOptions(fd.get());
  std::shared_ptr<SocketTransport> transport(new SocketTransport(loop));
  transport->stream_ =
      FdStream::Create(loop, std::move(fd), FdStream::AtEnd::kShutdown, transport.get());
  transport->Moved();
  return transport;
}

SocketTransport::~SocketTransport() { stream_->Close(); }

void SocketTransport::Start(std::shared_ptr<TransportUser> user) {
  user_ = std::move(user);
  stream_->StartReading();
}

void SocketTransport::Send(absl::string_view head, absl::string_view body) {
  if (!closing_) stream_->Write(head, body);
}

void SocketTransport::SetReading(bool on) {
  if (closing_) return;
  if (on) {
    stream_->StartReading();
  } else {
    stream_->PauseReading();
  }
}

void SocketTransport::Close() {
  if (closing_) return;
  closing_ = true;
  stream_->EndWriting();
  // What still arrives is read and dropped: the kernel resets a connection that is closed with
  // unread bytes, and the peer would lose what it has not read yet.
  stream_->StartReading();
  if (stream_->buffered() == 0) WaitForPeer();
}

void SocketTransport::WaitForPeer() {
  linger_.Start(kLinger, [this] { Abort(); });
}

void SocketTransport::Abort() {
  closing_ = true;
  linger_.Cancel();
  stream_->Close();
  if (!user_) return;
  loop_->Post([self = shared_from_this(), user = std::move(user_)] { user->OnClosed(); });
}

base::UniqueFd SocketTransport::Release() {
  closing_ = true;
  user_.reset();
  return stream_->Release();
}

size_t SocketTransport::ReadRoom(FdStream*) { return Loop::kScratchBytes; }

void SocketTransport::OnRead(FdStream*, absl::string_view data) {
  Moved();
  if (closing_) return;
  const std::shared_ptr<TransportUser> user = user_;
  user->OnBytes(data, false);
}

void SocketTransport::OnReadEnd(FdStream*, int) { Abort(); }

void SocketTransport::OnWritten(FdStream*) {
  Moved();
  if (closing_) {
    if (stream_->buffered() == 0) WaitForPeer();
    return;
  }
  if (!writable()) return;
  const std::shared_ptr<TransportUser> user = user_;
  user->OnWritable();
}

void SocketTransport::OnWriteEnd(FdStream*, int) { Abort(); }

}  // namespace crisp::streaming
