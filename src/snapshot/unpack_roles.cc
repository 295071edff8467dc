#include "snapshot/unpack_roles.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status_macros.h"
#include "snapshot/decoder.h"
#include "snapshot/merged_tree.h"
#include "snapshot/space_guard.h"
#include "snapshot/tar_reader.h"
#include "snapshot/tree_fixups.h"
#include "snapshot/tree_writer.h"

namespace crisp::snapshot {
namespace {

class Decoding {
 public:
  explicit Decoding(ChunkWriter& plain) : plain_(plain) {}

  absl::Status Feed(absl::Span<const char> compressed) {
    if (decoder_ == nullptr) {
      const size_t missing = std::min(kMagicBytes - head_.size(), compressed.size());
      head_.append(compressed.data(), missing);
      compressed.remove_prefix(missing);
      if (head_.size() < kMagicBytes) return absl::OkStatus();
      CRISP_RETURN_IF_ERROR(Begin());
    }
    return Pump(compressed);
  }

  absl::Status Finish() {
    if (decoder_ == nullptr) CRISP_RETURN_IF_ERROR(Begin());  // shorter than the magic bytes
    CRISP_RETURN_IF_ERROR(decoder_->CheckEnd());
    return used_ > 0 ? plain_.Push(used_) : absl::OkStatus();
  }

 private:
  absl::Status Begin() {
    CRISP_ASSIGN_OR_RETURN(decoder_, NewDecoder(head_));
    return Pump(head_);
  }

  absl::Status Pump(absl::Span<const char> input) {
    bool full = false;
    do {
      if (room_.empty()) {
        CRISP_ASSIGN_OR_RETURN(room_, plain_.Room());
      }
      absl::Span<char> output = room_.subspan(used_);
      CRISP_RETURN_IF_ERROR(decoder_->Step(input, output));
      used_ = room_.size() - output.size();
      full = output.empty();
      if (full) {
        CRISP_RETURN_IF_ERROR(plain_.Push(used_));
        room_ = {};
        used_ = 0;
      }
    } while (!input.empty() || full);
    return absl::OkStatus();
  }

  ChunkWriter& plain_;
  std::string head_;  // the first bytes, until there is a decoder
  std::unique_ptr<Decoder> decoder_;
  absl::Span<char> room_;  // the chunk that is being filled
  size_t used_ = 0;
};

absl::Status FixUp(const FrameSocket& crispd, int root_fd, Deferred& deferred, SpaceGuard& guard) {
  CRISP_RETURN_IF_ERROR(crispd.Send(FrameKind::kWaits));
  CRISP_ASSIGN_OR_RETURN(Frame lower, crispd.Receive(/*with_fd=*/true));
  if (lower.kind != FrameKind::kLower) return Unexpected(lower);
  std::vector<base::UniqueFd> layers;
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd root, base::OpenAt(root_fd, ".", O_PATH | O_DIRECTORY));
  layers.push_back(std::move(root));
  if (lower.fd.valid()) layers.push_back(std::move(lower.fd));
  MergedTree merged(std::move(layers), deferred.opaque);
  return ApplyFixups(root_fd, merged, deferred, guard);
}

}  // namespace

absl::Status DecodeLayer(ChunkReader& compressed, ChunkWriter& plain) {
  Decoding decoding(plain);
  while (true) {
    CRISP_ASSIGN_OR_RETURN(const absl::Span<const char> chunk, compressed.Next());
    if (chunk.empty()) return decoding.Finish();
    CRISP_RETURN_IF_ERROR(decoding.Feed(chunk));
  }
}

absl::Status UntarLayer(const FrameSocket& crispd, const ChunkMemory& plain, int root_fd,
                        const UnpackLimits& limits) {
  umask(0);  // files are created with the mode of their entry
  SpaceGuard guard(root_fd, limits);
  ChunkReader chunks(crispd, plain);
  TreeWriter tree(root_fd, guard,
                  [&](int directory) { return crispd.Send(FrameKind::kOpaque, "", directory); });
  {
    TarReader tar([&] { return chunks.Next(); });
    CRISP_RETURN_IF_ERROR(tree.Unpack(tar));
  }
  // Bytes after the end of the archive count only for the digest.
  while (true) {
    CRISP_ASSIGN_OR_RETURN(const absl::Span<const char> rest, chunks.Next());
    if (rest.empty()) break;
  }
  if (tree.deferred().empty()) return absl::OkStatus();
  return FixUp(crispd, root_fd, tree.deferred(), guard);
}

void Conclude(const FrameSocket& crispd, const absl::Status& result) {
  if (!crispd.SendEnd(result).ok()) return;
  while (crispd.Receive().ok()) continue;
}

}  // namespace crisp::snapshot
