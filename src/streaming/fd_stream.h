// One pipe end, socket or terminal, read only as far as its owner has room and written through a
// buffer. I/O thread only.
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
  // Calls come from the loop, and OnWriteEnd() also from within Write(). After Close() none comes.
  class Owner {
   public:
    virtual ~Owner() = default;
    // How many bytes may be read now. 0 pauses reading until StartReading().
    virtual size_t ReadRoom(FdStream* stream) = 0;
    virtual void OnRead(FdStream* stream, absl::string_view data) = 0;
    // End of file (0) or the errno that ended reading.
    virtual void OnReadEnd(FdStream* stream, int error) = 0;
    virtual void OnWritten(FdStream* stream) = 0;              // buffered() went down
    virtual void OnWriteEnd(FdStream* stream, int error) = 0;  // cannot be written any more
  };

  // What EndWriting() does once everything is written.
  enum class AtEnd { kClose, kShutdown, kNothing };  // pipe, socket, terminal

  static std::shared_ptr<FdStream> Create(Loop* loop, base::UniqueFd fd, AtEnd at_end,
                                          Owner* owner);

  void StartReading();  // no-op while reading or after the end
  void PauseReading();
  // Writes what the descriptor takes at once, keeps the rest. `head` and `body` leave together.
  void Write(absl::string_view head, absl::string_view body);
  void EndWriting();
  void Close();
  // Takes the descriptor away; the rest is as after Close().
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
  // Bytes written, -1 when the descriptor takes no more and the error was reported.
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
