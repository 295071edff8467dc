#include "image/image_store.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "image/digests.h"
#include "image/image_record_codec.h"
#include "image_fixture.h"
#include "test/unit/small_disk.h"

using namespace crisp;
using namespace crisp::image;

namespace {

// Has every layer except `missing`.
class AllLayers final : public LayerTarget {
 public:
  bool Has(const oci::ChainId& chain_id) const override { return chain_id != missing; }
  absl::StatusOr<std::unique_ptr<LayerSink>> Begin(const LayerInfo&) override {
    return absl::UnimplementedError("not a target");
  }
  oci::ChainId missing;
};

struct StoreFixture {
  TempDir dir;
  base::Paths paths{dir.path + "/root", dir.path + "/state"};
  AllLayers layers;
  std::unique_ptr<ImageStore> store;

  StoreFixture() { Reopen(); }
  void Reopen() {
    store.reset();
    auto opened = ImageStore::Open(paths, layers);
    REQUIRE(opened.ok());
    store = *std::move(opened);
  }
  std::string RecordOf(const Image& image) const {
    return base::JoinPath(paths.Images(), absl::StrCat(image.id.hex(), ".json"));
  }
  ImagePtr Put(const Image& image) {
    const auto put = store->Put(image);
    INFO(put.status().ToString());
    REQUIRE(put.ok());
    return *put;
  }
};

Image Make(const std::vector<std::string>& layers, const std::string& tag,
           const std::string& run = "{}") {
  Image image;
  image.config_json = MakeConfig(layers, run);
  image.id = Sha256(image.config_json);
  image.manifest_digest = Sha256("manifest of " + image.config_json);
  image.size = 100;
  if (!tag.empty()) image.repo_tags = {"example.com/" + tag};
  image.repo_digests = {"example.com/repo@" + image.manifest_digest.str()};
  REQUIRE(DeriveFromConfig(image).ok());
  return image;
}

std::vector<oci::ChainId> Ids(const std::vector<LayerLease>& leases) {
  std::vector<oci::ChainId> ids;
  for (const LayerLease& lease : leases) ids.push_back(lease.chain_id());
  return ids;
}

}  // namespace

TEST_CASE("images are found by everything CRI clients use") {
  StoreFixture f;
  const Image image = Make({"a"}, "repo:latest");
  f.Put(image);
  const std::string hex(image.id.hex());
  const std::string names[] = {image.id.str(),
                               hex,
                               hex.substr(0, 12),
                               hex.substr(0, 1),
                               "sha256:" + hex.substr(0, 5),
                               "example.com/repo:latest",
                               "example.com/repo",
                               image.repo_digests[0],
                               "example.com/repo:zzz@" + image.manifest_digest.str()};
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto found = f.store->Find(name);
    INFO(found.status().ToString());
    REQUIRE(found.ok());
    CHECK((*found)->id == image.id);
  }
  for (const std::string& name :
       {std::string("example.com/repo:v2"), std::string("repo"), std::string(64, '0'),
        "sha256:" + std::string(64, '0'), std::string("sha256:"), std::string("sha256:xyz")}) {
    CAPTURE(name);
    CHECK(f.store->Find(name).status().code() == absl::StatusCode::kNotFound);
  }
  CHECK(f.store->Find("Bad Name").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(f.store->Find("").status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("an ambiguous id prefix is an error, unless it is the name of an image") {
  StoreFixture f;
  // 17 images, so that two ids have the same first digit.
  for (int i = 0; i < 17; ++i) f.Put(Make({absl::StrCat(i)}, ""));
  int ambiguous = 0;
  for (char digit : std::string("0123456789abcdef")) {
    ambiguous += absl::IsInvalidArgument(f.store->Find(std::string(1, digit)).status());
  }
  CHECK(ambiguous > 0);
  Image named = Make({"x"}, "");
  named.repo_tags = {"docker.io/library/cafe:latest"};
  f.Put(named);
  CHECK((*f.store->Find("cafe"))->id == named.id);
}

TEST_CASE("List is ordered by id, and its result does not change later") {
  StoreFixture f;
  for (int i = 0; i < 5; ++i) f.Put(Make({absl::StrCat(i)}, absl::StrCat("repo:", i)));
  const std::vector<ImagePtr> list = f.store->List();
  REQUIRE(list.size() == 5);
  for (size_t i = 1; i < list.size(); ++i) CHECK(list[i - 1]->id < list[i]->id);
  REQUIRE(f.store->Remove(list[0]->id).ok());
  CHECK(list[0]->repo_tags.size() == 1);
}

TEST_CASE("an image collects its references, sorted and without duplicates") {
  StoreFixture f;
  Image image = Make({"a"}, "repo:3");
  f.Put(image);
  for (const char* tag : {"repo:1", "repo:2", "repo:1"}) {
    image.repo_tags = {absl::StrCat("example.com/", tag)};
    f.Put(image);
  }
  image.repo_tags.clear();
  image.repo_digests = {"k8s.gcr.io/repo@" + image.manifest_digest.str()};
  const ImagePtr got = f.Put(image);
  CHECK(got->repo_tags ==
        std::vector<std::string>{"example.com/repo:1", "example.com/repo:2", "example.com/repo:3"});
  CHECK(got->repo_digests.size() == 2);
  CHECK(f.store->List().size() == 1);
}

TEST_CASE("a tag moves to the image that was put last, also across a restart") {
  StoreFixture f;
  const Image old_image = Make({"old"}, "repo:v1");
  const Image new_image = Make({"new"}, "repo:v1");
  f.Put(old_image);
  f.Put(new_image);
  for (int round = 0; round < 2; ++round) {
    CHECK((*f.store->Find("example.com/repo:v1"))->id == new_image.id);
    CHECK((*f.store->Find(old_image.id.str()))->repo_tags.empty());
    CHECK((*f.store->Find(old_image.id.str()))->repo_digests.size() == 1);
    f.Reopen();
  }
}

TEST_CASE("after a crash while a tag moves, the later record has it") {
  StoreFixture f;
  const Image old_image = Make({"old"}, "repo:v1");
  const ImagePtr first = f.Put(old_image);
  const std::string before = *base::ReadFile(f.RecordOf(*first));
  const Image new_image = Make({"new"}, "repo:v1");
  f.Put(new_image);
  // Restores the old record, as if it had not been written again.
  REQUIRE(base::WriteFileAtomic(f.RecordOf(*first), before, 0600).ok());
  f.Reopen();
  CHECK((*f.store->Find("example.com/repo:v1"))->id == new_image.id);
  CHECK((*f.store->Find(old_image.id.str()))->repo_tags.empty());
}

TEST_CASE("records survive a restart byte for byte") {
  StoreFixture f;
  const std::string run = R"({"Cmd":["sh","-c","a\"b\\c\u00e9\n"],"User":"www-data"})";
  const Image image = Make({"a", "b"}, "repo:v1", run);
  const ImagePtr before = f.Put(image);
  f.Reopen();
  const auto after = f.store->Find(image.id.str());
  REQUIRE(after.ok());
  CHECK((*after)->config_json == image.config_json);
  CHECK((*after)->repo_tags == before->repo_tags);
  CHECK((*after)->repo_digests == before->repo_digests);
  CHECK((*after)->manifest_digest == before->manifest_digest);
  CHECK((*after)->size == before->size);
  CHECK((*after)->config.user == "www-data");
  CHECK((*after)->layers.size() == 2);
  CHECK(f.store->quarantined().empty());
}

TEST_CASE("Remove removes all references, and layers of no other image are unused") {
  StoreFixture f;
  Image one = Make({"base", "one"}, "repo:1");
  one.repo_tags.push_back("example.com/repo:also");
  const Image two = Make({"base", "two"}, "repo:2");
  f.Put(one);
  f.Put(two);
  const std::vector<oci::ChainId> all = {one.layers[0].chain_id, one.layers[1].chain_id,
                                         two.layers[1].chain_id};
  CHECK(f.store->Unused(all).empty());
  REQUIRE(f.store->Remove(one.id).ok());
  CHECK(Ids(f.store->Unused(all)) == std::vector<oci::ChainId>{one.layers[1].chain_id});
  CHECK(f.store->List().size() == 1);
  for (const char* name : {"example.com/repo:1", "example.com/repo:also"}) {
    CHECK(absl::IsNotFound(f.store->Find(name).status()));
  }
  CHECK(absl::IsNotFound(f.store->Remove(one.id)));
  CHECK_FALSE(base::ReadFile(f.RecordOf(one)).ok());
  REQUIRE(f.store->Remove(two.id).ok());
  CHECK(Ids(f.store->Unused(all)) == all);
}

TEST_CASE("of concurrent removals one succeeds, and the others get NotFound") {
  StoreFixture f;
  const Image image = Make({"a"}, "repo:1");
  f.Put(image);
  std::atomic<int> done = 0;
  std::atomic<int> seen = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      done += f.store->Remove(image.id).ok();
      seen += f.store->Find(image.id.str()).ok();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(done == 1);
  CHECK(seen == 0);
}

TEST_CASE("a layer that a pull needs is not unused") {
  StoreFixture f;
  const Image image = Make({"a"}, "repo:1");
  f.Put(image);
  const oci::ChainId chain_id = image.layers[0].chain_id;
  {
    auto lease = f.store->leases().Acquire(chain_id, {});
    REQUIRE(lease.ok());
    REQUIRE(f.store->Remove(image.id).ok());
    CHECK(f.store->Unused({chain_id}).empty());
  }
  // The pull has failed: the layer is unused.
  auto unused = f.store->Unused({chain_id});
  REQUIRE(unused.size() == 1);
  // While it is being deleted, a pull that needs it waits.
  const base::Call call = base::Call::Until(base::Deadline::In(absl::Milliseconds(30)));
  CHECK(absl::IsDeadlineExceeded(f.store->leases().Acquire(chain_id, call).status()));
  // It waits for the deletion or for its caller to leave, whatever comes first.
  std::thread leaves([&] { call.cancel->Cancel(); });
  CHECK(absl::IsCancelled(
      f.store->leases().Acquire(chain_id, {.deadline = {}, .cancel = call.cancel}).status()));
  leaves.join();
  absl::StatusOr<LayerLease> waits = absl::UnknownError("");
  std::thread pull([&] { waits = f.store->leases().Acquire(chain_id, {}); });
  unused.clear();
  pull.join();
  CHECK(waits.ok());
  CHECK(f.store->leases().Acquire(chain_id, {}).ok());
}

TEST_CASE("a damaged record is quarantined, and the other images stay") {
  StoreFixture f;
  const Image good = Make({"good"}, "repo:good");
  const ImagePtr bad = f.Put(Make({"bad"}, "repo:bad"));
  f.Put(good);
  const std::string path = f.RecordOf(*bad);
  const std::string text = *base::ReadFile(path);
  const auto replaced = [&](const std::string& from, const std::string& to) {
    const std::string changed = absl::StrReplaceAll(text, {{from, to}});
    REQUIRE(changed != text);
    return changed;
  };
  const std::string damages[] = {"",
                                 "garbage",
                                 text.substr(0, text.size() / 2),
                                 replaced("repo:bad", "repo:bae"),
                                 replaced("\"version\": 1", "\"version\": 2"),
                                 replaced("\"size\": 100", "\"size\": 101"),
                                 replaced("\"pinned\": false", "\"pinned\": true"),
                                 std::string(100, '\0'),
                                 EncodeImageRecord(Make({"another"}, ""))};
  for (const std::string& damage : damages) {
    CAPTURE(damage.substr(0, 80));
    REQUIRE(base::WriteFileAtomic(path, damage, 0600).ok());
    f.Reopen();
    CHECK(f.store->List().size() == 1);
    CHECK(f.store->Find(good.id.str()).ok());
    REQUIRE(f.store->quarantined().size() == 1);
    CHECK(absl::StartsWith(f.store->quarantined()[0], path));
    CHECK_FALSE(base::ReadFile(path).ok());
  }
  CHECK(base::ListDir(f.paths.Quarantine())->size() == std::size(damages));
  // The image can be pulled again.
  f.Put(*bad);
  f.Reopen();
  CHECK(f.store->List().size() == 2);
}

TEST_CASE("a directory in place of a record is quarantined, temporary files are removed") {
  StoreFixture f;
  const Image good = Make({"good"}, "repo:good");
  f.Put(good);
  REQUIRE(base::MakeDirs(f.paths.Images() + "/" + std::string(64, 'a') + ".json", 0700).ok());
  const std::string leftover = f.RecordOf(good) + ".tmp-0123456789abcdef";
  REQUIRE(base::WriteFileAtomic(leftover, "half", 0600).ok());
  f.Reopen();
  CHECK(f.store->List().size() == 1);
  CHECK(f.store->quarantined().size() == 1);
  CHECK_FALSE(base::ReadFile(leftover).ok());
}

TEST_CASE("images are listed from a disk that is full and read-only") {
  const std::string text = EncodeImageRecord(Make({"good"}, "repo:good"));
  const std::string id(Make({"good"}, "repo:good").id.hex());
  test::OnSmallDisk([&](const std::string& dir) -> std::string {
    const base::Paths paths(dir, dir);
    if (!base::MakeDirs(paths.Images(), 0700).ok()) return "mkdir";
    for (const std::string& name : {id + ".json", std::string("damaged.json")}) {
      if (!base::WriteFileAtomic(paths.Images() + "/" + name, text, 0600).ok()) return "write";
    }
    test::FillUp(dir);
    if (!test::SetReadOnly(dir, true)) return "remount";
    const auto store = ImageStore::Open(paths, AllLayers());
    if (!store.ok()) return store.status().ToString();
    return (*store)->List().size() == 1 && (*store)->quarantined().size() == 1 ? "" : "not listed";
  });
}

TEST_CASE("a store on a disk that was full at the start takes images once there is space") {
  const Image image = Make({"good"}, "repo:good");
  test::OnSmallDisk([&](const std::string& dir) -> std::string {
    const base::Paths paths(dir, dir);
    test::FillUp(dir);
    const auto store = ImageStore::Open(paths, AllLayers());
    if (!store.ok()) return store.status().ToString();
    if ((*store)->Put(image).ok()) return "the disk is not full";
    test::FreeSpace(dir);
    return (*store)->Put(image).status().ToString() == "OK" ? "" : "put";
  });
}

TEST_CASE("an image that cannot be read for lack of descriptors is not quarantined") {
  // There are none left once the first record was read.
  struct LastDescriptor final : LayerTarget {
    bool Has(const oci::ChainId&) const override { return setrlimit(RLIMIT_NOFILE, &none) == 0; }
    absl::StatusOr<std::unique_ptr<LayerSink>> Begin(const LayerInfo&) override {
      return absl::UnimplementedError("not a target");
    }
    rlimit none = {};
  };
  StoreFixture f;
  f.Put(Make({"one"}, "repo:1"));
  f.Put(Make({"two"}, "repo:2"));
  f.store.reset();
  rlimit files;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  LastDescriptor layers;
  layers.none = {0, files.rlim_max};
  const absl::Status opened = ImageStore::Open(f.paths, layers).status();
  REQUIRE(setrlimit(RLIMIT_NOFILE, &files) == 0);
  CHECK(absl::IsResourceExhausted(opened));
  f.Reopen();
  CHECK(f.store->List().size() == 2);
}

TEST_CASE("an image whose layers are gone is not listed") {
  StoreFixture f;
  const Image image = Make({"a", "b"}, "repo:1");
  f.Put(image);
  f.layers.missing = image.layers[1].chain_id;
  f.Reopen();
  CHECK(f.store->List().empty());
  REQUIRE(f.store->quarantined().size() == 1);
  CHECK(absl::StrContains(f.store->quarantined()[0], "is missing"));
}

TEST_CASE("a failed Put changes nothing") {
  StoreFixture f;
  const Image old_image = Make({"old"}, "repo:v1");
  f.Put(old_image);
  const Image new_image = Make({"new"}, "repo:v1");
  // A directory at the record's path makes the rename fail.
  REQUIRE(base::MakeDirs(f.RecordOf(new_image) + "/x", 0700).ok());
  CHECK_FALSE(f.store->Put(new_image).ok());
  CHECK((*f.store->Find("example.com/repo:v1"))->id == old_image.id);
  CHECK(f.store->List().size() == 1);
}

TEST_CASE("Put of an unchanged image writes nothing") {
  StoreFixture f;
  const ImagePtr first = f.Put(Make({"a"}, "repo:v1"));
  struct stat before;
  struct stat after;
  REQUIRE(stat(f.RecordOf(*first).c_str(), &before) == 0);
  CHECK(f.Put(*first) == first);
  REQUIRE(stat(f.RecordOf(*first).c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
}
