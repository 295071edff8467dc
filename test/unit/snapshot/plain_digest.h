// The diff id an honest registry would announce for a blob, for tests and fuzzing.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "digest/hasher.h"
#include "snapshot/decoder.h"
#include "snapshot/layer_writer.h"

namespace crisp::snapshot {

// Digest of the decompressed bytes; nothing when there are more than `most`. Of a damaged blob any
// digest: the store refuses it before it compares digests.
inline std::optional<std::string> PlainDigest(absl::string_view blob,
                                              uint64_t most = uint64_t{1} << 30) {
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
    if (plain_bytes > most) return std::nullopt;
    hasher.Update({buffer.data(), size});
    full = room.empty();
  }
  return hasher.Finish();
}

}  // namespace crisp::snapshot
