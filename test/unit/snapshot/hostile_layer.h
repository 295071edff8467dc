// L01-L78: hostile layers. Each case is refused with a clean error and leaves nothing, or is
// harmless: unpacked inside its own directory. In both cases the canary outside is as it was, and
// memory stays bounded.
#pragma once

#include <functional>

#include "snapshot/decoder.h"
#include "snapshot/tree_metadata.h"
#include "test/unit/snapshot/store_fixture.h"

namespace crisp::snapshot {
enum Verdict { kRefused, kHarmless };

struct Hostile {
  std::string name;
  Verdict verdict;
  // Layers from the lowest to the top-most, as blobs; the last one is the hostile one.
  std::function<std::vector<std::string>(const std::string& canary)> layers;
  // What the last layer must look like when it is harmless.
  std::function<bool(const std::string& directory, const std::string& canary)> check;
};

using Layers = std::vector<std::string>;
using B = TarBuilder;

inline Layers One(const B& tar) { return {tar.Done()}; }

inline bool Always(const std::string&, const std::string&) { return true; }

// Has a file under this name, reached without links.
inline std::function<bool(const std::string&, const std::string&)> Has(const std::string& name) {
  return [name](const std::string& directory, const std::string&) {
    return Exists(directory + "/" + name);
  };
}
// Has the file where the canary would be, inside.
inline bool InsideCanary(const std::string& directory, const std::string& canary) {
  return Exists(directory + canary + "/secret");
}

// The digest the plain bytes have; the bomb is never unpacked here, so any digest will do.
inline std::string PlainDigest(const std::string& blob) {
  constexpr size_t kBomb = 5 << 20;
  if (blob.size() > kBomb && blob[0] == '\x1f') return Sha256Of("bomb");
  auto decoder = NewDecoder(absl::string_view(blob).substr(0, kMagicBytes));
  if (!decoder.ok()) return Sha256Of(blob);
  Sha256 hasher;
  std::string buffer(1 << 20, '\0');
  absl::Span<const char> input(blob);
  bool full = true;
  while (!input.empty() || full) {
    absl::Span<char> room(&buffer[0], buffer.size());
    if (!(*decoder)->Step(input, room).ok()) break;
    hasher.Update({buffer.data(), buffer.size() - room.size()});
    full = room.empty();
  }
  return hasher.Digest();
}

inline int64_t PeakKiB() {
  const std::string status = *base::ReadFile("/proc/self/status");
  const size_t at = status.find("VmHWM:");
  return std::stoll(status.substr(at + 6));
}

inline void Run(const Hostile& hostile) {
  INFO(hostile.name);
  StoreFixture fix;
  fix.limits.ratio_from_bytes = 32 << 20;
  fix.Reopen();
  const Layers layers = hostile.layers(fix.Canary());
  std::string parent;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string diff_id = PlainDigest(layers[i]);
    const LayerSpec spec = {StoreFixture::Chain(parent, diff_id), parent, diff_id};
    REQUIRE(base::WriteExisting("/proc/self/clear_refs", "5").ok());
    const int64_t before = PeakKiB();
    const auto result = fix.UnpackBlob(layers[i], spec);
    INFO(result.status());
    CHECK(PeakKiB() - before < 64 << 10);
    CHECK(fix.CanaryUntouched());
    if (i + 1 == layers.size()) {
      CHECK(result.ok() == (hostile.verdict == kHarmless));
      if (result.ok()) {
        CHECK(hostile.check(fix.Directory(*result), fix.Canary()));
      } else {
        CHECK_FALSE(absl::IsInternal(result.status()));
        CHECK_FALSE(absl::IsUnknown(result.status()));
        CHECK_FALSE(fix.store->Has(spec.chain_id));
      }
    } else {
      REQUIRE(result.ok());
    }
    parent = spec.chain_id;
  }
  if (hostile.verdict == kRefused && layers.size() == 1) CHECK(fix.Empty());
}

}  // namespace crisp::snapshot
