// Unpacks hostile layers (fakes/hostile_layers.h) and checks that refused ones leave nothing, that
// the canary outside is unchanged and that memory is bounded.
#include "fakes/hostile_layers.h"
#include "fakes/tree_fact.h"
#include "test/unit/snapshot/plain_digest.h"
#include "test/unit/snapshot/store_fixture.h"

// AddressSanitizer keeps 256 MiB of freed memory by default, which would count as used.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

namespace crisp::snapshot {
namespace {

int64_t PeakKiB() {
  const std::string status = *base::ReadFile("/proc/self/status");
  const size_t at = status.find("VmHWM:");
  return std::stoll(status.substr(at + 6));
}

void Run(const HostileLayers& hostile) {
  INFO(hostile.name);
  StoreFixture fix;
  const Layers layers = hostile.layers(fix.Canary());
  oci::ChainId parent;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string diff_id = PlainDigest(layers[i]).value();
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
        for (const std::string& fact : hostile.facts) {
          INFO(fact);
          const std::string directory = fix.Directory(*result);
          test::FactCheck check(FactOf(fact, fix.Canary()), directory, test::TreeKind::kLayer);
          CHECK(check.Run() == "");
        }
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

TEST_CASE("links and whiteouts do not lead out of the layer") {
  for (const HostileLayers& hostile : HostileLinks()) Run(hostile);
}
TEST_CASE("names do not lead out of the layer") {
  for (const HostileLayers& hostile : HostileNames()) Run(hostile);
}
TEST_CASE("hostile inodes and attributes are refused or dropped") {
  for (const HostileLayers& hostile : HostileInodes()) Run(hostile);
}
TEST_CASE("hostile headers and streams are refused or harmless") {
  for (const HostileLayers& hostile : HostileStreams()) Run(hostile);
}

}  // namespace
}  // namespace crisp::snapshot
