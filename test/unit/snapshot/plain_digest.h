// The diff id an honest registry would announce for a blob, for tests and fuzzing.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "digest/hasher.h"
#include "snapshot/decoder.h"
#include "snapshot/layer_writer.h"

namespace crisp::snapshot {

// Digest of the decompressed bytes. Of a blob that is damaged or exceeds `limits`, any digest: the
// store refuses it before it compares digests.
inline std::string PlainDigest(absl::string_view blob, const UnpackLimits& limits) {
  digest::Hasher hasher;
  auto decoder = NewDecoder(blob.substr(0, kMagicBytes));
  if (!decoder.ok()) return hasher.Finish();
  std::string buffer(1 << 20, '\0');
  absl::Span<const char> input(blob.data(), blob.size());
  uint64_t plain_bytes = 0;
  bool full = true;
  while (!input.empty() || full) {
    absl::Span<char> room(&buffer[0], buffer.size());
    if (!(*decoder)->Step(input, room).ok()) break;
    const size_t size = buffer.size() - room.size();
    plain_bytes += size;
    if (plain_bytes > limits.ratio_from_bytes && plain_bytes / limits.max_ratio > blob.size())
      break;
    hasher.Update({buffer.data(), size});
    full = room.empty();
  }
  return hasher.Finish();
}

}  // namespace crisp::snapshot
