// A TCP connection as a transport of plain bytes: the HTTP request head and SPDY. I/O thread only.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "streaming/fd_stream.h"
#include "streaming/loop.h"
#include "streaming/transport.h"

namespace crisp::streaming {

// How long the peer may take to close its side after the server closed its own.
inline constexpr absl::Duration kLinger = absl::Seconds(5);

class SocketTransport : public Transport,
                        public std::enable_shared_from_this<SocketTransport>,
                        private FdStream::Owner {
 public:
  static std::shared_ptr<SocketTransport> Create(Loop* loop, base::UniqueFd fd);
  ~SocketTransport() override;

  void Start(std::shared_ptr<TransportUser> user) override;
  void Send(absl::string_view head, absl::string_view body) override;
  size_t unsent() const override { return stream_->buffered(); }
  void SetReading(bool on) override;
  void Close() override;
  void Abort() override;
  int fd() const override { return stream_->fd(); }
  // Gives the socket away, to another kind of transport; the user is released without OnClosed().
  base::UniqueFd Release();

 private:
  explicit SocketTransport(Loop* loop) : loop_(loop), linger_(loop) {}

  std::shared_ptr<TransportUser> user() const override { return user_; }
  size_t ReadRoom(FdStream* stream) override;
  void OnRead(FdStream* stream, absl::string_view data) override;
  void OnReadEnd(FdStream* stream, int error) override;
  void OnWritten(FdStream* stream) override;
  void OnWriteEnd(FdStream* stream, int error) override;
  void WaitForPeer();

  Loop* const loop_;
  std::shared_ptr<FdStream> stream_;
  std::shared_ptr<TransportUser> user_;
  Timer linger_;
  bool closing_ = false;
};

}  // namespace crisp::streaming
