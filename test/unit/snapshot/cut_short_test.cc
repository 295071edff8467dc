// What the store's next start makes of an operation whose crispd was killed in the middle. Needs no
// root.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "digest/hasher.h"
#include "fakes/tar_builder.h"
#include "snapshot/layer_record.h"
#include "snapshot/snapshot_store.h"
#include "test/unit/killed_process.h"
#include "test/unit/snapshot/await_empty.h"
#include "test/unit/snapshot/unpack_threads.h"

namespace crisp::snapshot {
namespace {

using Names = std::vector<std::string>;
const std::string kOne(64, '1');

// The directory of a store that is opened anew for each operation, as by a crispd that has just
// started: the processes that are killed are forked, so that no thread may run before.
class StoreOnDisk {
 public:
  StoreOnDisk() {
    REQUIRE(mkdtemp(dir_.data()) != nullptr);
    root_ = dir_ + "/store";
  }
  ~StoreOnDisk() { (void)base::RemoveTree(dir_); }

  std::unique_ptr<SnapshotStore> Open(Names* problems = nullptr) {
    constexpr UnpackLimits kAnySpace = {.min_free_bytes = 0, .min_free_inodes = 0};
    auto store =
        SnapshotStore::Open({.root = root_, .limits = kAnySpace, .workers = &workers_}, problems);
    return store.ok() ? *std::move(store) : nullptr;
  }
  // The next start, which finds nothing to complain of.
  std::unique_ptr<SnapshotStore> Restart() {
    Names problems;
    auto store = Open(&problems);
    INFO(absl::StrJoin(problems, "\n"));
    CHECK(problems.empty());
    REQUIRE(store != nullptr);
    return store;
  }
  Names List(const std::string& name) const {
    return base::ListDir(absl::StrCat(root_, "/", name)).value_or(Names());
  }
  // The trash is emptied in the background.
  void CheckNothingIsLeft() {
    CHECK(AwaitEmpty(root_ + "/trash"));
    for (const char* name : {"layers", "staging", "containers"}) CHECK(List(name).empty());
  }
  void Clear() { REQUIRE(base::RemoveTree(root_).ok()); }
  const std::string& root() const { return root_; }

 private:
  UnpackThreads workers_;
  std::string dir_ = "/tmp/crisp-snapshot-XXXXXX";
  std::string root_;
};

Owner Me() { return {.uid = getuid(), .gid = getgid()}; }

// A layer as it was published earlier. Returns its chain id.
oci::ChainId PutLayer(const std::string& root, int number, const oci::ChainId& parent) {
  LayerRecord record;
  record.info.diff_id = digest::Sha256(absl::StrCat("layer ", number));
  record.info.parent = parent;
  record.info.chain_id = oci::ChainId(digest::ChainId(parent.str(), record.info.diff_id));
  const std::string layer = absl::StrCat(root, "/layers/", number);
  REQUIRE(base::MakeDirs(layer + "/fs", 0755).ok());
  REQUIRE(base::WriteFileAtomic(layer + "/fs/file", "text", 0644).ok());
  REQUIRE(base::WriteFileAtomic(layer + "/record.json", EncodeLayerRecord(record), 0600).ok());
  return record.info.chain_id;
}

bool DeleteAll(SnapshotStore& store) {
  std::vector<oci::ChainId> chain_ids;
  for (const LayerInfo& layer : store.Layers()) chain_ids.push_back(layer.chain_id);
  return store.DeleteUnlisted(store.Unlist(chain_ids)).ok();
}

TEST_CASE("a writable layer that a killed crispd was making is there or not, and can be made") {
  StoreOnDisk disk;
  const int changes =
      test::KillBeforeEachChange([&] { disk.Clear(); },
                                 [&] {
                                   const auto store = disk.Open();
                                   return store != nullptr && store->Prepare(kOne, {}, Me()).ok();
                                 },
                                 [&](bool killed) {
                                   const auto store = disk.Restart();
                                   const Names found = store->Containers().value();
                                   CHECK((found == Names{kOne} || (killed && found.empty())));
                                   for (const std::string& orphan : found)
                                     CHECK(store->RemoveContainer(orphan).ok());
                                   disk.CheckNothingIsLeft();
                                   CHECK(store->Prepare(kOne, {}, Me()).ok());
                                   CHECK(store->OpenContainer(kOne).ok());
                                 });
  CHECK(changes > 10);
}

TEST_CASE("a writable layer that a killed crispd was removing is removed by the next") {
  StoreOnDisk disk;
  test::KillBeforeEachChange(
      [&] {
        REQUIRE(disk.Restart()->Prepare(kOne, {}, Me()).ok());
        const std::string upper = absl::StrCat(disk.root(), "/containers/", kOne, "/fs");
        REQUIRE(base::MakeDirs(upper + "/a/b/c", 0755).ok());
        REQUIRE(base::WriteFileAtomic(upper + "/a/b/file", "text", 0644).ok());
      },
      [&] {
        const auto store = disk.Open();
        return store != nullptr && store->RemoveContainer(kOne).ok();
      },
      [&](bool killed) {
        const auto store = disk.Restart();
        CHECK((killed || store->Containers()->empty()));
        CHECK(store->RemoveContainer(kOne).ok());
        disk.CheckNothingIsLeft();
      });
}

TEST_CASE("a layer that a killed crispd was unpacking is complete or not there") {
  StoreOnDisk disk;
  const std::string tar = TarBuilder().File("file", "text").Done();
  const std::string diff_id = digest::Sha256(tar);
  const LayerSpec spec = {oci::ChainId(digest::ChainId("", diff_id)), {}, diff_id};
  const auto unpack = [&](SnapshotStore& store) {
    const auto writer = store.BeginLayer(spec);
    return writer.ok() && (*writer)->Write(tar).ok() && (*writer)->Finish().ok();
  };
  test::KillBeforeEachChange(
      [&] { disk.Clear(); },
      [&] {
        const auto store = disk.Open();
        return store != nullptr && unpack(*store);
      },
      [&](bool killed) {
        const auto store = disk.Restart();
        CHECK((killed || store->Has(spec.chain_id)));
        CHECK(disk.List("layers").size() == store->Layers().size());
        if (!store->Has(spec.chain_id)) CHECK(unpack(*store));
        REQUIRE(store->View(spec.chain_id).ok());
        const std::string layer = store->View(spec.chain_id)->lowers.at(0);
        CHECK(base::ReadFile(absl::StrCat(disk.root(), "/", layer, "/file")).value_or("") ==
              "text");
        CHECK(DeleteAll(*store));
        disk.CheckNothingIsLeft();
      });
}

TEST_CASE("layers that a killed crispd was deleting are no damaged ones to the next") {
  StoreOnDisk disk;
  const int changes = test::KillBeforeEachChange(
      [&] {
        oci::ChainId parent;
        for (const int number : {3, 1, 4, 2, 6, 5}) parent = PutLayer(disk.root(), number, parent);
        (void)disk.Restart();
      },
      [&] {
        const auto store = disk.Open();
        return store != nullptr && store->Layers().size() == 6 && DeleteAll(*store);
      },
      [&](bool killed) {
        const auto store = disk.Restart();
        CHECK((killed || store->Layers().empty()));
        CHECK(DeleteAll(*store));
        CHECK(disk.List("quarantine").empty());
        CHECK(store->LayersUsage().inodes == 0);
        disk.CheckNothingIsLeft();
      });
  CHECK(changes > 12);
}

TEST_CASE("a damaged layer whose removal was cut short is removed later, and its record kept") {
  StoreOnDisk disk;
  const auto remove = [](SnapshotStore& store) {
    for (const DamagedLayer& layer : store.damaged().List())
      if (!store.damaged().Delete(layer.name).ok()) return false;
    return true;
  };
  test::KillBeforeEachChange(
      [&] {
        disk.Clear();
        (void)PutLayer(disk.root(), 1, {});
        REQUIRE(base::WriteFileAtomic(disk.root() + "/layers/1/record.json", "{", 0600).ok());
      },
      [&] {
        const auto store = disk.Open();
        return store != nullptr && store->damaged().List().size() == 1 && remove(*store);
      },
      [&](bool) {
        const auto store = disk.Open();
        REQUIRE(store != nullptr);
        CHECK(store->Layers().empty());
        CHECK(remove(*store));
        CHECK(disk.List("quarantine") == Names{"records"});
        CHECK(disk.List("quarantine/records").size() == 1);
        disk.CheckNothingIsLeft();
      });
}

TEST_CASE("a writable layer that cannot be made leaves nothing until the next start") {
  StoreOnDisk disk;
  REQUIRE(base::MakeDirs(disk.root(), 0755).ok());
  constexpr uid_t kNobody = 65534;
  const bool is_root = geteuid() == 0;
  if (is_root) REQUIRE(chown(disk.root().c_str(), kNobody, kNobody) == 0);
  if (is_root) REQUIRE(chmod(disk.root().substr(0, disk.root().rfind('/')).c_str(), 0755) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (is_root && setresuid(kNobody, kNobody, kNobody) != 0) _exit(2);
    const auto store = disk.Open();
    if (store == nullptr) _exit(3);
    if (store->Prepare(kOne, {}, {.uid = 0, .gid = 0}).ok()) _exit(4);  // it may not chown
    _exit(disk.List("staging").empty() && AwaitEmpty(disk.root() + "/trash") ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace
}  // namespace crisp::snapshot
