// Hostile layers. Each one is either refused with a clean error and leaves nothing, or is harmless
// and unpacked inside its own directory. In both cases the canary outside is unchanged and memory
// is bounded.
#pragma once

#include <functional>

#include "snapshot/tree_metadata.h"
#include "test/unit/snapshot/plain_digest.h"
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

// Has a file at this path, without a link in it.
inline std::function<bool(const std::string&, const std::string&)> Has(const std::string& name) {
  return [name](const std::string& directory, const std::string&) {
    return Exists(directory + "/" + name);
  };
}
// Has the file at the canary's path inside the layer.
inline bool InsideCanary(const std::string& directory, const std::string& canary) {
  return Exists(directory + canary + "/secret");
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
  oci::ChainId parent;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string diff_id = PlainDigest(layers[i], fix.limits);
    const LayerSpec spec = {oci::ChainId(digest::ChainId(parent.str(), diff_id)), parent, diff_id};
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
