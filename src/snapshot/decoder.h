// Decompression of a layer's bytes. Memory is bounded: gzip needs 32 KiB of history, zstd at most
// 128 MiB (window log 27, what `zstd` itself accepts without --long), touched only as far as a
// frame really goes back.
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

  // Takes bytes off the front of `input` and puts plain ones at the front of `output`, shrinking
  // both, until one is empty. kDataLoss for a damaged stream.
  virtual absl::Status Step(absl::Span<const char>& input, absl::Span<char>& output) = 0;

  // kDataLoss unless the stream may end here.
  virtual absl::Status CheckEnd() const = 0;
};

// Bytes needed to tell formats apart; fewer when the whole blob is shorter.
inline constexpr size_t kMagicBytes = 6;

// Chooses by the first bytes. gzip: members one after the other, then at most zero bytes, as
// gzip(1) pads them; anything else behind them is refused. zstd: frames and skippable frames. xz,
// bzip2, LZ4 and compress(1) are kUnimplemented by name; everything else is taken for a plain tar.
absl::StatusOr<std::unique_ptr<Decoder>> NewDecoder(absl::string_view first_bytes);

}  // namespace crisp::snapshot
