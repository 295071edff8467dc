#include "image/platform.h"

#include <catch2/catch.hpp>

#include "image/digests.h"

using namespace crisp;
using namespace crisp::image;

namespace {

oci::Platform Linux(const std::string& architecture, const std::string& variant = "") {
  oci::Platform platform;
  platform.os = "linux";
  platform.architecture = architecture;
  platform.variant = variant;
  return platform;
}

// The size of an entry's manifest is its position, to identify it.
oci::Index IndexOf(const std::vector<std::optional<oci::Platform>>& platforms) {
  oci::Index index;
  for (const auto& platform : platforms) {
    oci::Descriptor manifest;
    manifest.size = static_cast<int64_t>(index.manifests.size());
    index.manifests.push_back({platform, manifest});
  }
  return index;
}

int64_t Chosen(const std::vector<std::optional<oci::Platform>>& platforms,
               const oci::Platform& host) {
  const auto ranked = RunnableManifests(IndexOf(platforms), host);
  return ranked.empty() ? -1 : ranked[0].manifest->size;
}

}  // namespace

TEST_CASE("the host's own architecture is chosen, and the first of equal entries") {
  const oci::Platform amd64 = Linux("amd64");
  CHECK(Chosen({Linux("arm64"), Linux("amd64"), Linux("amd64")}, amd64) == 1);
  CHECK(Chosen({Linux("x86_64")}, amd64) == 0);
  CHECK(Chosen({Linux("amd64", "v1")}, amd64) == 0);
  CHECK(Chosen({Linux("386"), Linux("amd64")}, amd64) == 1);
  CHECK(Chosen({Linux("386")}, amd64) == 0);
  CHECK(Chosen({Linux("amd64", "v3")}, amd64) == -1);
  CHECK(Chosen({std::nullopt, Linux("amd64")}, amd64) == 1);
  CHECK(Chosen({Linux("arm64"), std::nullopt}, amd64) == 1);
  CHECK(Chosen({}, amd64) == -1);
  CHECK(Chosen({Linux("arm64"), oci::Platform{.os = "", .architecture = "AMD64", .variant = ""}},
               amd64) == 1);
  const auto ranked = RunnableManifests(
      IndexOf({std::nullopt, Linux("386"), Linux("arm64"), Linux("amd64"), std::nullopt}), amd64);
  std::vector<int64_t> order;
  for (const oci::IndexEntry& entry : ranked) order.push_back(entry.manifest->size);
  CHECK(order == std::vector<int64_t>{3, 1, 0, 4});
}

TEST_CASE("for arm the highest variant that the host runs is chosen") {
  CHECK(Chosen({Linux("arm", "v5"), Linux("arm", "v7"), Linux("arm", "v6")}, Linux("arm", "v7")) ==
        1);
  CHECK(Chosen({Linux("arm", "v7")}, Linux("arm", "v6")) == -1);
  CHECK(Chosen({Linux("arm", "v7"), Linux("arm64", "v8")}, Linux("arm64")) == 1);
  CHECK(Chosen({Linux("arm", "v6"), Linux("arm", "v7")}, Linux("arm64")) == 1);
}

TEST_CASE("entries for other systems and attestations are skipped") {
  oci::Platform windows = Linux("amd64");
  windows.os = "windows";
  oci::Platform unknown = Linux("unknown");
  unknown.os = "unknown";
  CHECK(Chosen({windows, unknown, Linux("amd64")}, Linux("amd64")) == 2);
  CHECK(Chosen({windows, unknown}, Linux("amd64")) == -1);
}

TEST_CASE("a config of another platform cannot run; an empty one may") {
  CHECK(CanRun(Linux("amd64"), Linux("amd64")));
  CHECK(CanRun(oci::Platform(), Linux("amd64")));
  CHECK(CanRun(Linux("arm64", "v8"), Linux("arm64")));
  CHECK_FALSE(CanRun(Linux("arm64"), Linux("amd64")));
  oci::Platform windows = Linux("amd64");
  windows.os = "windows";
  CHECK_FALSE(CanRun(windows, Linux("amd64")));
}

TEST_CASE("chain ids follow the image spec") {
  const oci::Digest a = Sha256("a");
  const oci::Digest b = Sha256("b");
  const auto chain = ChainIds({a, b});
  REQUIRE(chain.size() == 2);
  CHECK(chain[0].str() == a.str());
  CHECK(chain[1].str() == Sha256(a.str() + " " + b.str()).str());
}
