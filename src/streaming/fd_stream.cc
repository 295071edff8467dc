#include "streaming/fd_stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace crisp::streaming {
namespace {

bool TryLater(int error) { return error == EAGAIN || error == EINTR; }

}  // namespace

std::shared_ptr<FdStream> FdStream::Create(Loop* loop, base::UniqueFd fd, AtEnd at_end,
                                           Owner* owner) {
  const int flags = fcntl(fd.get(), F_GETFL);
  fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  return std::shared_ptr<FdStream>(new FdStream(loop, std::move(fd), at_end, owner));
}

FdStream::FdStream(Loop* loop, base::UniqueFd fd, AtEnd at_end, Owner* owner)
    : loop_(loop), watch_(loop, std::move(fd)), at_end_(at_end), owner_(owner) {}

void FdStream::StartReading() {
  wants_read_ = true;
  WaitReadable();
}

void FdStream::PauseReading() { wants_read_ = false; }

void FdStream::WaitReadable() {
  if (closed_ || read_ended_ || read_waits_ || !wants_read_) return;
  read_waits_ = true;
  watch_.WhenReadable([self = weak_from_this()] {
    if (auto stream = self.lock()) stream->Readable();
  });
}

void FdStream::Readable() {
  read_waits_ = false;
  if (closed_ || !wants_read_) return;
  const size_t room = std::min(owner_->ReadRoom(this), Loop::kScratchBytes);
  if (room == 0) {
    wants_read_ = false;
    return;
  }
  const ssize_t size = read(watch_.fd(), loop_->scratch(), room);
  if (size > 0) {
    owner_->OnRead(this, absl::string_view(loop_->scratch(), static_cast<size_t>(size)));
  } else if (size == 0 || !TryLater(errno)) {
    read_ended_ = true;
    owner_->OnReadEnd(this, size == 0 ? 0 : errno);
  }
  WaitReadable();
}

ssize_t FdStream::TryWrite(absl::string_view head, absl::string_view body) {
  iovec parts[] = {{const_cast<char*>(head.data()), head.size()},
                   {const_cast<char*>(body.data()), body.size()}};
  const ssize_t size = writev(watch_.fd(), parts, 2);
  if (size >= 0) return size;
  if (TryLater(errno)) return 0;
  const int error = errno;
  write_ended_ = true;
  buffer_.clear();
  written_ = 0;
  owner_->OnWriteEnd(this, error);
  return -1;
}

void FdStream::Write(absl::string_view head, absl::string_view body) {
  if (closed_ || write_ended_ || write_ends_) return;
  if (buffered() == 0) {
    const ssize_t size = TryWrite(head, body);
    if (size < 0) return;
    const size_t of_head = std::min<size_t>(static_cast<size_t>(size), head.size());
    head.remove_prefix(of_head);
    body.remove_prefix(static_cast<size_t>(size) - of_head);
    if (head.empty() && body.empty()) return;
    buffer_.clear();
    written_ = 0;
    WaitWritable();
  } else if (written_ > buffer_.size() / 2) {
    buffer_.erase(0, written_);
    written_ = 0;
  }
  buffer_.append(head.data(), head.size());
  buffer_.append(body.data(), body.size());
}

void FdStream::WaitWritable() {
  watch_.WhenWritable([self = weak_from_this()] {
    if (auto stream = self.lock()) stream->Writable();
  });
}

void FdStream::Writable() {
  if (closed_ || write_ended_) return;
  const ssize_t size = TryWrite(absl::string_view(buffer_).substr(written_), "");
  if (size < 0) return;
  written_ += static_cast<size_t>(size);
  if (buffered() > 0) {
    WaitWritable();
  } else {
    buffer_ = std::string();  // frees the memory of a burst
    written_ = 0;
    if (write_ends_) AfterLastByte();
  }
  if (!closed_ && size > 0) owner_->OnWritten(this);
}

void FdStream::EndWriting() {
  if (closed_ || write_ends_) return;
  write_ends_ = true;
  if (buffered() == 0) AfterLastByte();
}

void FdStream::AfterLastByte() {
  if (at_end_ == AtEnd::kShutdown) shutdown(watch_.fd(), SHUT_WR);
  if (at_end_ == AtEnd::kClose) Close();
}

void FdStream::Close() { Release(); }

base::UniqueFd FdStream::Release() {
  closed_ = true;
  buffer_ = std::string();
  written_ = 0;
  return watch_.Release();
}

}  // namespace crisp::streaming
