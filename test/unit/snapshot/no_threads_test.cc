// What the store does when the kernel refuses threads.
#include "no_threads.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/file.h"
#include "digest/hasher.h"
#include "snapshot/snapshot_store.h"
#include "test/unit/snapshot/await_empty.h"
#include "test/unit/snapshot/unpack_threads.h"

namespace crisp::snapshot {
namespace {

struct Directory {
  Directory() {
    char name[] = "/tmp/crisp-no-threads-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~Directory() { REQUIRE(base::RemoveTree(path).ok()); }
  std::string path;
};

TEST_CASE("a layer that gets no thread is refused, leaves nothing and can be unpacked later") {
  Directory directory;
  UnpackThreads threads;
  const auto store = SnapshotStore::Open(
      {.root = directory.path, .limits = {.min_free_bytes = 1}, .workers = &threads});
  REQUIRE(store.ok());
  const std::string diff_id = digest::Sha256("layer");
  const LayerSpec spec = {
      .chain_id = oci::ChainId(digest::ChainId("", diff_id)), .parent = {}, .diff_id = diff_id};
  {
    const test::NoThreads refused;
    const auto writer = (*store)->BeginLayer(spec);
    CHECK(writer.status().message() ==
          "cannot start a thread for unpack: resource temporarily unavailable (EAGAIN)");
    CHECK(absl::IsResourceExhausted(writer.status()));
  }
  CHECK(AwaitEmpty(base::JoinPath(directory.path, "staging")));
  CHECK((*store)->BeginLayer(spec).ok());
}

TEST_CASE("a store that gets no thread does not open, and opens later") {
  Directory directory;
  {
    const test::NoThreads refused;
    CHECK(absl::IsResourceExhausted(
        SnapshotStore::Open({.root = directory.path, .limits = {}}).status()));
  }
  CHECK(SnapshotStore::Open({.root = directory.path, .limits = {}}).ok());
}

}  // namespace
}  // namespace crisp::snapshot
