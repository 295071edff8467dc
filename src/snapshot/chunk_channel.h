// The bytes of a layer on their way from one process to the next: chunks of shared memory, filled
// in turn, whose sizes go over a FrameSocket.
//
//   writer: Room(), fill it, Push(n)  -- kChunk n -->  reader: Next(), use it
//   waits in Room() while four are full  <-- kFree --  the following Next()
//   End()                             -- kEnd ----->   Next() returns nothing more
//
// Not a pipe: a pipe costs a page and two copies for every 4 KiB. Each memory has one writer. What
// crispd writes nobody else can change, as the file is sealed after crispd has mapped it. What
// another process writes it can change at any time: crispd copies it before it looks at it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"
#include "snapshot/frame_socket.h"

namespace crisp::snapshot {

// A memfd_create(2) file of fixed size and a mapping of it.
class ChunkMemory {
 public:
  // Most layers are small, and each touches new memory: twice as much takes 1 ms more for a layer,
  // and saves a large one less than 1 % in messages.
  static constexpr size_t kChunkBytes = 128 << 10;
  static constexpr size_t kChunks = 4;

  ChunkMemory() = default;
  // Makes one that only this process can write, or one that another process writes.
  static absl::StatusOr<ChunkMemory> MakeToWrite();
  static absl::StatusOr<ChunkMemory> MakeToRead();
  // In the other process: `fd` of one that crispd made.
  static absl::StatusOr<ChunkMemory> Map(base::UniqueFd fd, bool writable);

  ~ChunkMemory();
  ChunkMemory(ChunkMemory&& other) noexcept
      : fd_(std::move(other.fd_)), bytes_(std::exchange(other.bytes_, nullptr)) {}
  ChunkMemory& operator=(ChunkMemory&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  int fd() const { return fd_.get(); }
  // The chunk with this serial number.
  char* Chunk(uint64_t serial) const { return bytes_ + serial % kChunks * kChunkBytes; }
  // The same with memory behind it, before it is used for the first time: all at once takes half
  // the time of page by page, and a lack of memory is an error, not the end of crispd by SIGBUS.
  absl::StatusOr<char*> Ready(uint64_t serial, bool writable) const;

 private:
  ChunkMemory(base::UniqueFd fd, char* bytes) : fd_(std::move(fd)), bytes_(bytes) {}
  base::UniqueFd fd_;
  char* bytes_ = nullptr;
};

// Both borrow socket and memory, and are used by one thread at a time.
class ChunkWriter {
 public:
  // `other` gets the messages of the reader that are none of this channel's; without it they are
  // errors.
  ChunkWriter(const FrameSocket& socket, const ChunkMemory& memory,
              std::function<absl::Status(Frame)> other = nullptr)
      : socket_(socket), memory_(memory), other_(std::move(other)) {}

  // The next chunk, kChunkBytes. Waits until the reader has freed one; on a socket that is watched
  // at most for kPatience. The reader's error if it has sent one; kUnavailable when it is gone.
  absl::StatusOr<absl::Span<char>> Room();
  // The first `size` bytes of it are for the reader.
  absl::Status Push(size_t size);
  absl::Status End(const absl::Status& status) { return Sent(socket_.SendEnd(status)); }
  // A message of the reader.
  absl::Status Handle(Frame frame);

  // For 128 KiB of a layer. Only a disk that hangs, or a worker that a layer has taken over, takes
  // so long.
  static constexpr absl::Duration kPatience = absl::Minutes(10);

 private:
  // Prefers the reader's last words to the fact that it is gone.
  absl::Status Sent(const absl::Status& status);

  const FrameSocket& socket_;
  const ChunkMemory& memory_;
  const std::function<absl::Status(Frame)> other_;
  uint64_t next_ = 0;
  uint64_t freed_ = 0;
};

class ChunkReader {
 public:
  ChunkReader(const FrameSocket& socket, const ChunkMemory& memory)
      : socket_(socket), memory_(memory) {}

  // The next chunk, valid until the next call; empty after the last. The writer's error if it ended
  // with one; kUnavailable when it is gone before the end.
  absl::StatusOr<absl::Span<const char>> Next();

 private:
  const FrameSocket& socket_;
  const ChunkMemory& memory_;
  uint64_t next_ = 0;
  bool reading_ = false;
  bool ended_ = false;
};

}  // namespace crisp::snapshot
