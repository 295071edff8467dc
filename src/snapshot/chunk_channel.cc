#include "snapshot/chunk_channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/deadline.h"
#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::snapshot {
namespace {

constexpr size_t kBytes = ChunkMemory::kChunks * ChunkMemory::kChunkBytes;

absl::StatusOr<base::UniqueFd> MakeFile() {
  base::UniqueFd fd(memfd_create("layer", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return base::Errno("memfd_create", "layer");
  if (ftruncate(fd.get(), kBytes) != 0) return base::Errno("truncate", "layer");
  return fd;
}

// Of fixed size: a file that another process makes shorter would end crispd with SIGBUS.
absl::Status Seal(int fd, int more) {
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | more) != 0) {
    return base::Errno("seal", "layer");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChunkMemory> ChunkMemory::Map(base::UniqueFd fd, bool writable) {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const bytes = mmap(nullptr, kBytes, protection, MAP_SHARED, fd.get(), 0);
  if (bytes == MAP_FAILED) return base::Errno("mmap", "layer");
  return ChunkMemory(std::move(fd), static_cast<char*>(bytes));
}

absl::StatusOr<ChunkMemory> ChunkMemory::MakeToWrite() {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd fd, MakeFile());
  CRISP_ASSIGN_OR_RETURN(ChunkMemory memory, Map(std::move(fd), /*writable=*/true));
  CRISP_RETURN_IF_ERROR(Seal(memory.fd(), F_SEAL_FUTURE_WRITE));
  return memory;
}

absl::StatusOr<ChunkMemory> ChunkMemory::MakeToRead() {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd fd, MakeFile());
  CRISP_RETURN_IF_ERROR(Seal(fd.get(), 0));
  return Map(std::move(fd), /*writable=*/false);
}

absl::StatusOr<char*> ChunkMemory::Ready(uint64_t serial, bool writable) const {
  char* const chunk = Chunk(serial);
  if (serial >= kChunks) return chunk;  // all have been used
  const int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  if (madvise(chunk, kChunkBytes, advice) == 0) return chunk;
  if (errno == EFAULT) errno = ENOMEM;  // where a read or write would be SIGBUS
  return base::Errno("memory", "layer");
}

ChunkMemory::~ChunkMemory() {
  if (bytes_ != nullptr) munmap(bytes_, kBytes);
}

absl::Status ChunkWriter::Handle(Frame frame) {
  if (frame.kind == FrameKind::kFree && freed_ < next_) {
    ++freed_;
    return absl::OkStatus();
  }
  // The reader ends first only when it has failed.
  if (frame.kind == FrameKind::kEnd && !StatusOf(frame).ok()) return StatusOf(frame);
  return other_ ? other_(std::move(frame)) : Unexpected(frame);
}

absl::StatusOr<absl::Span<char>> ChunkWriter::Room() {
  const base::Deadline deadline = base::Deadline::In(kPatience);
  while (next_ - freed_ == ChunkMemory::kChunks) {
    CRISP_ASSIGN_OR_RETURN(Frame frame, socket_.Receive(/*with_fd=*/other_ != nullptr, deadline));
    CRISP_RETURN_IF_ERROR(Handle(std::move(frame)));
  }
  CRISP_ASSIGN_OR_RETURN(char* const chunk, memory_.Ready(next_, /*writable=*/true));
  return absl::Span<char>(chunk, ChunkMemory::kChunkBytes);
}

absl::Status ChunkWriter::Push(size_t size) {
  const auto n = static_cast<uint32_t>(size);
  char text[sizeof(n)];
  std::memcpy(text, &n, sizeof(n));
  CRISP_RETURN_IF_ERROR(
      Sent(socket_.Send(FrameKind::kChunk, absl::string_view(text, sizeof(text)))));
  ++next_;
  return absl::OkStatus();
}

absl::Status ChunkWriter::Sent(const absl::Status& status) {
  while (absl::IsUnavailable(status)) {
    absl::StatusOr<Frame> frame = socket_.Receive();
    if (!frame.ok()) break;
    if (frame->kind == FrameKind::kEnd && !StatusOf(*frame).ok()) return StatusOf(*frame);
  }
  return status;
}

absl::StatusOr<absl::Span<const char>> ChunkReader::Next() {
  if (ended_) return absl::Span<const char>();
  if (std::exchange(reading_, false)) {
    CRISP_RETURN_IF_ERROR(socket_.Send(FrameKind::kFree));
  }
  CRISP_ASSIGN_OR_RETURN(const Frame frame, socket_.Receive());
  if (frame.kind == FrameKind::kEnd) {
    CRISP_RETURN_IF_ERROR(StatusOf(frame));
    ended_ = true;
    return absl::Span<const char>();
  }
  uint32_t size = 0;
  if (frame.kind != FrameKind::kChunk || frame.text.size() != sizeof(size)) {
    return Unexpected(frame);
  }
  std::memcpy(&size, frame.text.data(), sizeof(size));
  if (size == 0 || size > ChunkMemory::kChunkBytes) {
    return absl::InternalError("a chunk has an impossible size");
  }
  reading_ = true;
  CRISP_ASSIGN_OR_RETURN(const char* const chunk, memory_.Ready(next_++, /*writable=*/false));
  return absl::Span<const char>(chunk, size);
}

}  // namespace crisp::snapshot
