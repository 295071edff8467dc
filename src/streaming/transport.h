// A client's connection after the upgrade: bytes (SPDY) or messages (WebSocket) in both directions.
// I/O thread only.
//
// Ownership: a transport keeps its user alive until OnClosed(). Every transport is closed in the
// end: by its user, by the peer, or by the server, which checks for idle and vanished peers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace crisp::streaming {

// How many bytes may wait to be sent to a client before reading from the process pauses, and to
// a process or target before reading from the client pauses.
inline constexpr size_t kMaxUnsentBytes = 256 << 10;

class TransportUser {
 public:
  virtual ~TransportUser() = default;
  // A piece of what the peer sent. `end` is set with the last piece of a message, and never by a
  // byte transport.
  virtual void OnBytes(absl::string_view bytes, bool end) = 0;
  // The server stops. Returns whether it told the peer and is closing the transport.
  virtual bool OnStop() { return false; }
  virtual void OnWritable() = 0;  // unsent() is at most half of kMaxUnsentBytes again
  virtual void OnClosed() = 0;    // the last call; never from within a call to the transport
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Replaces the user; the earlier one is not called any more.
  virtual void Start(std::shared_ptr<TransportUser> user) = 0;
  // Sends `head` followed by `body`, as one message or as bytes.
  virtual void Send(absl::string_view head, absl::string_view body) = 0;
  virtual size_t unsent() const = 0;
  // How many bytes may be read from a source to be sent. 0 if only a few are left, until the next
  // OnWritable(): otherwise messages would get smaller and smaller.
  size_t Room() const;
  virtual void SetReading(bool on) = 0;
  // Sends what is left, closes the sending side and gives the peer some time to close too. Nothing
  // is received any more.
  virtual void Close() = 0;
  virtual void Abort() = 0;
  virtual int fd() const = 0;  // the socket, -1 once closed

  // Called every few seconds: aborts if no byte moved for `idle_timeout`, or if the peer is gone
  // and reading did not show that (because reading is paused, or the network drops everything).
  void Check(absl::Duration idle_timeout);
  // Lets the user tell the peer that the server stops, and aborts if the user does not close.
  void Stop();

 protected:
  virtual std::shared_ptr<TransportUser> user() const = 0;
  void Moved();  // bytes went one way or the other
  bool writable() const { return unsent() <= kMaxUnsentBytes / 2; }

 private:
  int64_t moved_ns_ = 0;
};

// Sets keepalive (a dead peer is noticed after 50 s) and no delay for small writes.
void SetSocketOptions(int fd);

// Whether the peer closed or reset the connection, or did not answer data or window probes for most
// of a minute. A peer that answers but does not read is not gone.
bool PeerIsGone(int fd);

}  // namespace crisp::streaming
