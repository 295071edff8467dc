// One pipe end, socket or terminal. It is read only as far as its owner has room, and written
// through a buffer. Owns the descriptor. I/O thread only.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "streaming/loop.h"

namespace crisp::streaming {

class FdStream : public std::enable_shared_from_this<FdStream> {
 public:
  // Called by the loop; OnWriteEnd() also from within Write(). Not called after Close().
  class Owner {
   public:
    virtual ~Owner() = default;
    // How many bytes may be read now. 0 pauses reading until StartReading().
    virtual size_t ReadRoom(FdStream* stream) = 0;
    virtual void OnRead(FdStream* stream, absl::string_view data) = 0;
    // `error`: 0 at end of file, or the errno that ended reading.
    virtual void OnReadEnd(FdStream* stream, int error) = 0;
    virtual void OnWritten(FdStream* stream) = 0;              // buffered() went down
    virtual void OnWriteEnd(FdStream* stream, int error) = 0;  // nothing more can be written
  };

  // What EndWriting() does once everything is written.
  enum class AtEnd { kClose, kShutdown, kNothing };  // pipe, socket, terminal

  static std::shared_ptr<FdStream> Create(Loop* loop, base::UniqueFd fd, AtEnd at_end,
                                          Owner* owner);

  void StartReading();  // no-op while reading or after the end
  void PauseReading();
  // Writes what the descriptor takes at once and buffers the rest. `head` comes before `body`.
  void Write(absl::string_view head, absl::string_view body);
  void EndWriting();
  void Close();
  // Gives the descriptor to the caller; otherwise like Close().
  base::UniqueFd Release();

  void set_owner(Owner* owner) { owner_ = owner; }
  size_t buffered() const { return buffer_.size() - written_; }
  bool closed() const { return closed_; }
  int fd() const { return watch_.fd(); }

 private:
  FdStream(Loop* loop, base::UniqueFd fd, AtEnd at_end, Owner* owner);
  void WaitReadable();
  void Readable();
  void WaitWritable();
  void Writable();
  // Returns the bytes written, or -1 after an error, which it has reported to the owner.
  ssize_t TryWrite(absl::string_view head, absl::string_view body);
  void AfterLastByte();

  Loop* const loop_;
  FdWatch watch_;
  const AtEnd at_end_;
  Owner* owner_;
  std::string buffer_;
  size_t written_ = 0;  // of buffer_
  bool wants_read_ = false;
  bool read_waits_ = false;
  bool read_ended_ = false;
  bool write_ends_ = false;
  bool write_ended_ = false;
  bool closed_ = false;
};

}  // namespace crisp::streaming
