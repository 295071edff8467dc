// Decompression of a layer. Memory is bounded: gzip needs 32 KiB of history, zstd at most 128 MiB
// (window log 27, which `zstd` accepts without --long), of which only the part that a frame refers
// to is used. A decoder is used by one thread at a time.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace crisp::snapshot {

class Decoder {
 public:
  virtual ~Decoder() = default;

  // Consumes bytes from the front of `input` and writes decompressed ones to the front of `output`,
  // until one of the two spans, which shrink, is empty. kDataLoss for a damaged stream.
  virtual absl::Status Step(absl::Span<const char>& input, absl::Span<char>& output) = 0;

  // kDataLoss when the stream is not complete.
  virtual absl::Status CheckEnd() const = 0;
};

// The bytes that NewDecoder needs, fewer only when the whole blob is shorter.
inline constexpr size_t kMagicBytes = 6;

// Chooses by the first bytes. gzip: one or more members, which only zero bytes may follow (padding,
// as for gzip(1)). zstd: frames and skippable frames. kUnimplemented naming the format for xz,
// bzip2, LZ4 and compress(1); everything else is taken for a plain tar.
absl::StatusOr<std::unique_ptr<Decoder>> NewDecoder(absl::string_view first_bytes);

}  // namespace crisp::snapshot
