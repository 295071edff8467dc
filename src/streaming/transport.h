// A client's connection after the upgrade, as sessions see it: bytes (SPDY) or messages (WebSocket)
// in both directions. I/O thread only.
//
// Ownership: a transport keeps its user alive until OnClosed(), and every transport is closed at
// last, by its user, by the peer, or by the server's watch over idle and vanished peers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace crisp::streaming {

// What may wait to be sent in one session before its sources are no longer read, and likewise what
// may wait for one process or target to read its input.
inline constexpr size_t kMaxUnsentBytes = 256 << 10;

class TransportUser {
 public:
  virtual ~TransportUser() = default;
  // A piece of what the peer sent; `end` with the last piece of a message (never on a byte
  // transport).
  virtual void OnBytes(absl::string_view bytes, bool end) = 0;
  // The server stops. True when the peer has been told and the transport is being closed.
  virtual bool OnStop() { return false; }
  virtual void OnWritable() = 0;  // unsent() is at most half of kMaxUnsentBytes again
  virtual void OnClosed() = 0;    // the last call; never from within a call to the transport
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Replaces the user; the earlier one hears nothing more.
  virtual void Start(std::shared_ptr<TransportUser> user) = 0;
  // One message, or so many bytes: `head` and `body` one after the other.
  virtual void Send(absl::string_view head, absl::string_view body) = 0;
  virtual size_t unsent() const = 0;
  // How much a source may read to send it on. 0 when little is left, until the next OnWritable():
  // small rests would make ever smaller messages.
  size_t Room() const;
  virtual void SetReading(bool on) = 0;
  // Sends the rest, says goodbye and waits a little for the peer to close. Nothing is received any
  // more.
  virtual void Close() = 0;
  virtual void Abort() = 0;
  virtual int fd() const = 0;  // the socket, -1 once closed

  // Called every few seconds: aborts when nothing moved for `idle_timeout`, or when the peer is
  // gone though the socket has not told its reader (paused reading, a network that drops
  // everything).
  void Check(absl::Duration idle_timeout);
  // Lets the user take its leave, and aborts where it has nothing to say.
  void Stop();

 protected:
  virtual std::shared_ptr<TransportUser> user() const = 0;
  void Moved();  // bytes went one way or the other
  bool writable() const { return unsent() <= kMaxUnsentBytes / 2; }

 private:
  int64_t moved_ns_ = 0;
};

// Keepalive for a quiet connection (dead after 50 s) and no delay for small writes.
void SetSocketOptions(int fd);

// Whether the peer closed or reset the connection, or left data or window probes unanswered for
// most of a minute. Data to a peer that is alive but does not read waits as long as it likes.
bool PeerIsGone(int fd);

}  // namespace crisp::streaming
