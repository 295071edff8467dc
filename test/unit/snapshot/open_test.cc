// The store's start, on disks that nothing can be written to. Needs no root: nothing is unpacked.
#include <sys/stat.h>

#include "absl/strings/str_join.h"
#include "digest/hasher.h"
#include "snapshot/layer_record.h"
#include "snapshot/snapshot_store.h"
#include "test/unit/small_disk.h"
#include "test/unit/snapshot/unpack_threads.h"

namespace crisp::snapshot {
namespace {

// The disk is smaller than what is to stay free usually.
constexpr UnpackLimits kNoReserve = {.min_free_bytes = 0, .min_free_inodes = 0};

LayerSpec Spec() {
  const std::string diff_id = digest::Sha256("layer");
  return {oci::ChainId(digest::ChainId("", diff_id)), {}, diff_id};
}

// A layer, a damaged one and a leftover, which have to be moved.
absl::Status Make(const std::string& root) {
  LayerRecord record;
  record.info.chain_id = Spec().chain_id;
  record.info.diff_id = Spec().diff_id;
  for (const char* name : {"/layers/1/fs", "/layers/5/fs", "/staging/8/fs"}) {
    const absl::Status made = base::MakeDirs(root + name, 0700);
    if (!made.ok()) return made;
  }
  return base::WriteFileAtomic(root + "/layers/1/record.json", EncodeLayerRecord(record), 0600);
}

TEST_CASE("layers are found on a disk that is full and read-only") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    const std::string root = dir + "/snapshots";
    if (!Make(root).ok()) return "make";
    test::FillUp(dir);
    if (!test::SetReadOnly(dir, true)) return "remount";
    std::vector<std::string> problems;
    UnpackThreads threads;
    auto store =
        SnapshotStore::Open({.root = root, .limits = kNoReserve, .workers = &threads}, &problems);
    if (!store.ok()) return store.status().ToString();
    if (!(*store)->Has(Spec().chain_id) || (*store)->Layers().size() != 1) return "not found";
    // The leftover and the damaged layer. The directories that are missing are a problem, too.
    if (problems.size() != 3) return absl::StrJoin(problems, "\n");
    // With space again it works, and uses no number that a directory has kept.
    if (!test::SetReadOnly(dir, false)) return "remount";
    test::FreeSpace(dir);
    LayerSpec spec = Spec();
    spec.diff_id = digest::Sha256("another");
    spec.chain_id = oci::ChainId(digest::ChainId("", spec.diff_id));
    auto writer = (*store)->BeginLayer(spec);
    if (!writer.ok()) return writer.status().ToString();
    struct stat info = {};
    if (stat((root + "/staging/9").c_str(), &info) != 0) return "number";
    if (stat((root + "/trash").c_str(), &info) != 0 || (info.st_mode & 0777) != 0700)
      return "directories";
    return "";
  });
}

TEST_CASE("a store in which nothing was written yet opens on a full disk") {
  test::OnSmallDisk([](const std::string& dir) -> std::string {
    test::FillUp(dir);
    const std::string root = dir + "/snapshots";
    UnpackThreads threads;
    auto store = SnapshotStore::Open({.root = root, .limits = kNoReserve, .workers = &threads});
    if (!store.ok()) return store.status().ToString();
    if ((*store)->BeginLayer(Spec()).ok()) return "the disk is not full";
    test::FreeSpace(dir);
    return std::string((*store)->BeginLayer(Spec()).status().message());
  });
}

}  // namespace
}  // namespace crisp::snapshot
