#include "snapshot/unpacker.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "snapshot/tree_metadata.h"

namespace crisp::snapshot {
namespace {

// tree_writer.h takes no more either.
constexpr uint64_t kMaxOpaque = 262'144;
// For what needs the lower layers, which may copy large files of theirs.
constexpr absl::Duration kFixupTime = absl::Hours(1);

// `status` of talking to `worker`.
absl::Status Explain(UnpackWorker& worker, const absl::Status& status) {
  return absl::IsUnavailable(status) ? worker.WhyGone() : status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Unpacker>> Unpacker::Start(UnpackWorkers& workers,
                                                          const std::string& directory,
                                                          const UnpackLimits& limits) {
  auto unpacker = std::unique_ptr<Unpacker>(new Unpacker(workers, directory, limits));
  Unpacker* const self = unpacker.get();
  CRISP_RETURN_IF_ERROR(self->Connect());
  CRISP_ASSIGN_OR_RETURN(self->thread_, base::StartThread("unpack", [self] {
                           self->relayed_ = self->Run();
                           // The caller waits for the decoder, and for nothing else.
                           if (self->decoder_ != nullptr) self->decoder_->Kill();
                           if (self->untarrer_ != nullptr && !self->waits_) self->untarrer_->Kill();
                         }));
  return unpacker;
}

absl::Status Unpacker::Connect() {
  CRISP_ASSIGN_OR_RETURN(directory_, base::Open(path_, O_RDONLY | O_DIRECTORY));
  guard_.emplace(directory_.get(), limits_);
  struct statvfs disk;
  if (fstatvfs(directory_.get(), &disk) != 0) return base::Errno("statvfs", path_);
  max_plain_bytes_ = std::min(limits_.max_plain_bytes, uint64_t{disk.f_blocks} * disk.f_frsize);
  CRISP_ASSIGN_OR_RETURN(compressed_memory_, ChunkMemory::MakeToWrite());
  CRISP_ASSIGN_OR_RETURN(decoded_memory_, ChunkMemory::MakeToRead());
  CRISP_ASSIGN_OR_RETURN(plain_memory_, ChunkMemory::MakeToWrite());
  CRISP_ASSIGN_OR_RETURN(std::tie(compressed_socket_, ends_.compressed), FrameSocket::Pair());
  CRISP_ASSIGN_OR_RETURN(std::tie(decoded_socket_, ends_.decoded), FrameSocket::Pair());
  CRISP_ASSIGN_OR_RETURN(std::tie(plain_socket_, ends_.plain), FrameSocket::Pair());
  // The untarrer stops before the disk is full. One that a layer has taken over may not.
  const auto look = [this] { return guard_->Check(); };
  decoded_socket_.Watch([this, look, last_bytes = base::Deadline::Never()]() mutable {
    // Before that it waits for the registry.
    if (input_ended_ && last_bytes.is_never())
      last_bytes = base::Deadline::In(limits_.last_bytes_time);
    if (last_bytes.Passed()) return absl::InternalError("the decode process takes too long");
    return look();
  });
  plain_socket_.Watch(look);
  compressed_socket_.Watch([] { return absl::OkStatus(); });
  compressed_.emplace(compressed_socket_, compressed_memory_);
  decoded_.emplace(decoded_socket_, decoded_memory_);
  plain_.emplace(plain_socket_, plain_memory_,
                 [this](Frame frame) { return Serve(std::move(frame)); });
  return absl::OkStatus();
}

absl::Status Unpacker::Run() {
  {
    const Ends ends = std::move(ends_);  // closed below, so that the end of a worker shows
    CRISP_RETURN_IF_ERROR(StartWorkers(ends));
  }
  base::Failpoint("layer: processes started");
  return Relay();
}

absl::Status Unpacker::StartWorkers(const Ends& ends) {
  CRISP_RETURN_IF_ERROR(StartWorker(decoder_, UnpackRole::kDecode,
                                    {ends.compressed.fd(), compressed_memory_.fd(), -1, -1,
                                     ends.decoded.fd(), decoded_memory_.fd()}));
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd layer, workers_.OpenLayer(path_));
  return StartWorker(untarrer_, UnpackRole::kUntar,
                     {ends.plain.fd(), plain_memory_.fd(), -1, -1, layer.get()});
}

absl::Status Unpacker::StartWorker(std::unique_ptr<UnpackWorker>& worker, UnpackRole role,
                                   const std::vector<int>& fds) {
  CRISP_ASSIGN_OR_RETURN(std::unique_ptr<UnpackWorker> started, workers_.Start(role, limits_, fds));
  absl::MutexLock lock(&mu_);
  worker = std::move(started);
  if (abandoned_) worker->Kill();
  return absl::OkStatus();
}

Unpacker::~Unpacker() {
  Abandon();
  thread_.Join();
}

void Unpacker::Abandon() {
  absl::MutexLock lock(&mu_);
  abandoned_ = true;
  if (decoder_ != nullptr) decoder_->Kill();
  if (untarrer_ != nullptr) untarrer_->Kill();
}

absl::Status Unpacker::Write(absl::Span<const char> compressed) {
  while (!compressed.empty()) {
    if (room_.empty()) {
      CRISP_ASSIGN_OR_RETURN(room_, compressed_->Room());
    }
    const size_t size = std::min(compressed.size(), room_.size() - used_);
    std::memcpy(room_.data() + used_, compressed.data(), size);
    compressed.remove_prefix(size);
    used_ += size;
    if (used_ < room_.size()) continue;
    CRISP_RETURN_IF_ERROR(compressed_->Push(used_));
    room_ = {};
    used_ = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Unpacker::Finish() {
  if (used_ > 0) CRISP_RETURN_IF_ERROR(compressed_->Push(used_));
  CRISP_RETURN_IF_ERROR(compressed_->End(absl::OkStatus()));
  input_ended_ = true;
  thread_.Join();
  CRISP_RETURN_IF_ERROR(relayed_);
  CRISP_RETURN_IF_ERROR(decoder_->Stop());
  // The layer may have to wait for its parents for as long as their registry likes.
  compressed_socket_.Close();
  decoded_socket_.Close();
  for (ChunkMemory* memory : {&compressed_memory_, &decoded_memory_, &plain_memory_})
    *memory = ChunkMemory();
  return hasher_.Finish();
}

absl::Status Unpacker::Cause() {
  {
    absl::MutexLock lock(&mu_);
    if (decoder_ != nullptr) decoder_->Kill();
  }
  thread_.Join();
  return relayed_;
}

absl::Status Unpacker::Relay() {
  while (true) {
    const absl::StatusOr<absl::Span<const char>> chunk = decoded_->Next();
    if (!chunk.ok()) return Explain(*decoder_, chunk.status());
    if (chunk->empty()) break;
    CRISP_RETURN_IF_ERROR(Explain(*untarrer_, Pass(*chunk)));
    base::Failpoint("layer: part passed on");
  }
  decoder_->Kill();  // it comes to its end while the untarrer works
  CRISP_RETURN_IF_ERROR(Explain(*untarrer_, plain_->End(absl::OkStatus())));
  return AwaitUntarrer(base::Deadline::In(limits_.last_bytes_time));
}

absl::Status Unpacker::Pass(absl::Span<const char> chunk) {
  CRISP_RETURN_IF_ERROR(guard_->Spend(chunk.size(), 0));
  plain_bytes_ += chunk.size();
  if (plain_bytes_ > max_plain_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat("has more than ", max_plain_bytes_,
                                                     " bytes when decompressed, the limit here"));
  }
  CRISP_ASSIGN_OR_RETURN(const absl::Span<char> room, plain_->Room());
  std::memcpy(room.data(), chunk.data(), chunk.size());
  // The copy, which the decoder cannot change.
  hasher_.Update({room.data(), chunk.size()});
  return plain_->Push(chunk.size());
}

absl::Status Unpacker::AwaitUntarrer(base::Deadline deadline) {
  waits_ = false;
  while (true) {
    absl::StatusOr<Frame> frame = plain_socket_.Receive(/*with_fd=*/true, deadline);
    if (!frame.ok()) return Explain(*untarrer_, frame.status());
    if (frame->kind == FrameKind::kEnd) return StatusOf(*frame);
    waits_ = frame->kind == FrameKind::kWaits;
    if (waits_) return absl::OkStatus();
    CRISP_RETURN_IF_ERROR(plain_->Handle(*std::move(frame)));
  }
}

absl::Status Unpacker::Serve(Frame frame) {
  if (frame.kind != FrameKind::kOpaque || !frame.fd.valid()) return Unexpected(frame);
  return MarkOpaque(frame.fd.get());
}

absl::Status Unpacker::MarkOpaque(int directory) {
  struct stat layer, info;
  if (fstat(directory_.get(), &layer) != 0 || fstat(directory, &info) != 0) {
    return base::Errno("stat", "opaque directory");
  }
  // One of the layer's: all others that the untarrer can reach are read-only.
  if (!S_ISDIR(info.st_mode) || info.st_dev != layer.st_dev || ++opaque_ > kMaxOpaque) {
    return absl::InternalError("the untar process names a wrong directory as opaque");
  }
  if (fsetxattr(directory, kOpaqueXattr, "y", 1, 0) == 0) return absl::OkStatus();
  return base::Errno("setxattr", kOpaqueXattr);
}

absl::Status Unpacker::Complete(base::UniqueFd lower) {
  const absl::Status sent = plain_socket_.Send(FrameKind::kLower, "", lower.get());
  CRISP_RETURN_IF_ERROR(Explain(*untarrer_, sent));
  CRISP_RETURN_IF_ERROR(AwaitUntarrer(base::Deadline::In(kFixupTime)));
  if (waits_) return absl::InternalError("the untar process does not come to an end");
  return absl::OkStatus();
}

absl::Status Unpacker::Stop() {
  const absl::Status decoder = decoder_->Stop();
  const absl::Status untarrer = untarrer_->Stop();
  return decoder.ok() ? untarrer : decoder;
}

}  // namespace crisp::snapshot
