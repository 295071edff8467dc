// The store: publishing, parents, parallel unpacking, aborts, restarts, removal, containers.
#include "snapshot/snapshot_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <thread>

#include "absl/strings/match.h"
#include "snapshot/usage_walk.h"
#include "test/unit/snapshot/store_fixture.h"

namespace crisp::snapshot {
namespace {

const std::string kContainer(64, 'c');

std::string Tar(const std::string& name, const std::string& body = "x") {
  return TarBuilder().File(name, body).Done();
}

Usage Measure(const SnapshotStore& store) {
  auto directories = *store.OpenContainer(kContainer);
  const auto walk = UsageWalk::Begin(std::move(directories[0]));
  for (size_t i = 1; i < directories.size(); ++i) REQUIRE((*walk)->Add(directories[i].get()).ok());
  REQUIRE((*walk)->Step([] { return false; }).value() == UsageWalk::Progress::kDone);
  return (*walk)->counted();
}

TEST_CASE("layers stack up and the view names them top-most first") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(Tar("a", "lower"));
  const oci::ChainId upper = *fix.Unpack(Tar("b", "upper"), lower);
  REQUIRE(fix.store->Has(lower));
  REQUIRE(fix.store->Has(upper));
  const auto view = fix.store->View(upper);
  REQUIRE(view->base == fix.root());
  REQUIRE(view->lowers == std::vector<std::string>{"layers/2/fs", "layers/1/fs"});
  REQUIRE(view->read_only);
  REQUIRE(*base::ReadFile(fix.Directory(upper) + "/b") == "upper");
  REQUIRE(fix.store->View({})->lowers.empty());
  REQUIRE(absl::IsNotFound(fix.store->View(oci::ChainId(digest::Sha256("no"))).status()));
  REQUIRE(fix.store->Layers().size() == 2);
}

TEST_CASE("a layer with the wrong diff id leaves nothing") {
  StoreFixture fix;
  LayerSpec spec = StoreFixture::Spec(Tar("a"));
  const auto result = fix.UnpackBlob(Tar("b"), spec);
  REQUIRE(absl::IsDataLoss(result.status()));
  REQUIRE_FALSE(fix.store->Has(spec.chain_id));
  REQUIRE(fix.Empty());
}

TEST_CASE("a chain id that does not match parent and diff id is refused") {
  StoreFixture fix;
  LayerSpec spec = StoreFixture::Spec(Tar("a"));
  spec.chain_id = oci::ChainId(digest::Sha256("other"));
  REQUIRE(absl::IsInvalidArgument(fix.store->BeginLayer(spec).status()));
  spec.diff_id = "sha256:../../x";
  REQUIRE(absl::IsInvalidArgument(fix.store->BeginLayer(spec).status()));
}

TEST_CASE("a layer is published only after its parent; Finish can be repeated") {
  StoreFixture fix;
  const std::string lower = Tar("a");
  const std::string upper = Tar("b");
  const oci::ChainId lower_id(digest::Sha256(lower));
  auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(upper, lower_id))).value();
  REQUIRE(writer->Write(upper).ok());
  REQUIRE(writer->Seal().ok());
  REQUIRE(absl::IsFailedPrecondition(writer->Finish()));
  REQUIRE(fix.Unpack(lower).ok());
  REQUIRE(writer->Finish().ok());
  REQUIRE(writer->Finish().ok());
  REQUIRE(fix.store->Layers().size() == 2);
}

TEST_CASE("two writers of one layer both succeed, and one directory is left") {
  StoreFixture fix;
  const std::string tar = Tar("a");
  auto one = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
  auto two = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
  REQUIRE(one->Write(tar).ok());
  REQUIRE(two->Write(tar).ok());
  REQUIRE(two->Finish().ok());
  REQUIRE(one->Finish().ok());
  REQUIRE(base::ListDir(fix.root() + "/layers")->size() == 1);
  REQUIRE(base::ListDir(fix.root() + "/staging")->empty());
}

TEST_CASE("layers of an image unpack in parallel") {
  StoreFixture fix;
  constexpr int kLayers = 8;
  std::vector<std::string> tars;
  std::vector<oci::ChainId> chain;
  std::vector<std::unique_ptr<LayerWriter>> writers;
  for (int i = 0; i < kLayers; ++i) {
    TarBuilder tar;
    for (int k = 0; k < 200; ++k) {
      tar.File(absl::StrCat("shared/dir", k % 7, "/file", i, "-", k), std::string(k * 97, 'x'));
    }
    tars.push_back(tar.Done());
    const LayerSpec spec = StoreFixture::Spec(tars[i], i == 0 ? oci::ChainId() : chain.back());
    chain.push_back(spec.chain_id);
    writers.push_back(std::move(fix.store->BeginLayer(spec)).value());
  }
  std::vector<absl::Status> sealed(kLayers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kLayers; ++i) {
    threads.emplace_back([&, i] {
      const std::string blob = i % 2 == 0 ? Gzip(tars[i]) : Zstd(tars[i]);
      sealed[i] = writers[i]->Write(blob);
      if (sealed[i].ok()) sealed[i] = writers[i]->Seal();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kLayers; ++i) {
    INFO(sealed[i]);
    REQUIRE(sealed[i].ok());
    REQUIRE(writers[i]->Finish().ok());
  }
  REQUIRE(fix.store->View(chain.back())->lowers.size() == kLayers);
  REQUIRE(Exists(fix.Directory(chain[3]) + "/shared/dir4/file3-4"));
}

TEST_CASE("an abandoned layer leaves nothing") {
  StoreFixture fix;
  const std::string tar = Tar("a", std::string(3'000'000, 'x'));
  for (const size_t part : {size_t{0}, size_t{3}, size_t{1000}, size_t{2'000'000}, tar.size()}) {
    auto writer = std::move(fix.store->BeginLayer(StoreFixture::Spec(tar))).value();
    REQUIRE(writer->Write(absl::string_view(tar).substr(0, part)).ok());
    writer.reset();
    REQUIRE(fix.Empty());
  }
}

TEST_CASE("a restart keeps published layers and clears half-written ones") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(Tar("a"));
  const oci::ChainId upper = *fix.Unpack(Tar("b"), lower);
  const Usage usage = fix.store->LayersUsage();
  REQUIRE(usage.inodes == 4);
  REQUIRE(mkdir((fix.root() + "/staging/77").c_str(), 0700) == 0);
  REQUIRE(mkdir((fix.root() + "/staging/77/fs").c_str(), 0700) == 0);
  REQUIRE(mkdir((fix.root() + "/trash/old").c_str(), 0700) == 0);
  REQUIRE(fix.Reopen().empty());
  REQUIRE(base::ListDir(fix.root() + "/staging")->empty());
  REQUIRE(AwaitEmpty(fix.root() + "/trash"));
  REQUIRE(fix.store->View(upper)->lowers.size() == 2);
  REQUIRE(fix.store->LayersUsage().bytes == usage.bytes);
  // Numbers are not reused.
  const oci::ChainId more = *fix.Unpack(Tar("c"));
  REQUIRE(fix.store->View(more)->lowers[0] == "layers/3/fs");
}

TEST_CASE("a damaged record quarantines its layer and the layers on top, no others") {
  const std::vector<std::string> damages = {"missing",   "empty",  "garbage", "flipped",
                                            "directory", "parent", "version", "no fs"};
  for (const std::string& damage : damages) {
    StoreFixture fix;
    const oci::ChainId other = *fix.Unpack(Tar("other"));
    const oci::ChainId lower = *fix.Unpack(Tar("a"));
    const oci::ChainId upper = *fix.Unpack(Tar("b"), lower);
    const std::string path = fix.root() + "/layers/2/record.json";
    std::string text = *base::ReadFile(path);
    const size_t digit = text.find("sha256:") + 10;
    if (damage == "flipped") text[digit] = text[digit] == 'a' ? 'b' : 'a';
    if (damage == "garbage") text = "\x01\x02{";
    if (damage == "empty") text = "";
    if (damage == "version") text.replace(text.find("\"version\": 1"), 12, "\"version\": 2");
    if (damage == "parent") text.replace(text.find("\"parent\": \""), 11, "\"parent\": \"x");
    REQUIRE(unlink(path.c_str()) == 0);
    if (damage == "directory") REQUIRE(mkdir(path.c_str(), 0700) == 0);
    if (damage == "no fs") REQUIRE(base::RemoveTree(fix.root() + "/layers/2/fs").ok());
    if (damage != "directory" && damage != "missing") {
      REQUIRE(base::WriteFileAtomic(path, text, 0600).ok());
    }
    INFO(damage);
    REQUIRE(fix.Reopen().size() == 2);
    REQUIRE(fix.store->Has(other));
    REQUIRE_FALSE(fix.store->Has(lower));
    REQUIRE_FALSE(fix.store->Has(upper));
    REQUIRE(*base::ListDir(fix.root() + "/layers") == std::vector<std::string>{"1"});
    // Containers may run on them: both are quarantined, not deleted.
    REQUIRE(base::ListDir(fix.root() + "/quarantine")->size() == 2);
    // A re-pull repairs it.
    REQUIRE(fix.Unpack(Tar("a")).ok());
    REQUIRE(fix.Unpack(Tar("b"), lower).ok());
  }
}

TEST_CASE("a damaged layer counts until it is deleted, of which its record stays") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(Tar("a", std::string(1 << 20, 'x')));
  const oci::ChainId upper = *fix.Unpack(Tar("b", std::string(1 << 20, 'x')), lower);
  const Usage whole = fix.store->LayersUsage();
  REQUIRE(base::WriteFileAtomic(fix.root() + "/layers/1/record.json", "damaged", 0600).ok());
  for (int start = 0; start < 2; ++start) {  // the second finds them in the quarantine
    REQUIRE(fix.Reopen().size() == (start == 0 ? 2 : 0));
    DamagedLayers& damaged = fix.store->damaged();
    REQUIRE(damaged.List().size() == 2);
    CHECK(damaged.List()[0].chain_id.empty());  // its record does not tell
    CHECK(damaged.List()[1].chain_id == upper);
    CHECK(fix.store->LayersUsage().inodes == whole.inodes / 2);
    damaged.Measure();
    CHECK(fix.store->LayersUsage().bytes >= whole.bytes);
    CHECK(fix.store->LayersUsage().inodes >= whole.inodes);
  }
  const std::string directory = fix.root() + "/quarantine/";
  DamagedLayers& damaged = fix.store->damaged();
  for (const DamagedLayer& layer : damaged.List()) REQUIRE(damaged.Delete(layer.name).ok());
  CHECK(damaged.List().empty());
  CHECK(fix.store->LayersUsage().bytes == 0);
  REQUIRE(AwaitEmpty(fix.root() + "/trash"));
  CHECK(*base::ListDir(directory) == std::vector<std::string>{"records"});
  const std::vector<std::string> records = *base::ListDir(directory + "records");
  REQUIRE(records.size() == 2);
  CHECK(absl::StartsWith(records[0], "1-"));
  CHECK(*base::ReadFile(directory + "records/" + records[0]) == "damaged");
  REQUIRE(fix.Reopen().empty());
  CHECK(fix.store->damaged().List().empty());
}

TEST_CASE("a quarantine that cannot be read stops no start") {
  StoreFixture fix;
  const oci::ChainId layer = *fix.Unpack(Tar("a"));
  REQUIRE(rmdir((fix.root() + "/quarantine").c_str()) == 0);
  REQUIRE(base::WriteFileAtomic(fix.root() + "/quarantine", "a file", 0600).ok());
  CHECK_FALSE(fix.Reopen().empty());
  CHECK(fix.store->Has(layer));
}

TEST_CASE("layers that cannot be removed for want of a descriptor are removed once there is one") {
  StoreFixture fix;
  const oci::ChainId layer = *fix.Unpack(Tar("a"));
  REQUIRE(AwaitEmpty(fix.root() + "/trash"));
  const std::vector<uint64_t> numbers = fix.store->Unlist({layer});
  rlimit given = {};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &given) == 0);
  const rlimit none = {3, given.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const absl::Status deleted = fix.store->DeleteUnlisted(numbers);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &given) == 0);
  CHECK_FALSE(deleted.ok());
  CHECK(AwaitEmpty(fix.root() + "/staging"));
  CHECK(AwaitEmpty(fix.root() + "/trash"));
  CHECK(base::ListDir(fix.root() + "/layers")->empty());
}

TEST_CASE("removing layers keeps the parents of layers that stay") {
  StoreFixture fix;
  const oci::ChainId lowest = *fix.Unpack(Tar("a"));
  const oci::ChainId lower = *fix.Unpack(Tar("b"), lowest);
  const oci::ChainId one = *fix.Unpack(Tar("one"), lower);
  const oci::ChainId other = *fix.Unpack(Tar("other"), lower);
  const Usage usage = fix.store->LayersUsage();
  // An image [lowest, lower, one] is removed while a pull needs `other`.
  REQUIRE(fix.store->DeleteUnlisted(fix.store->Unlist({lowest, lower, one})).ok());
  REQUIRE_FALSE(fix.store->Has(one));
  REQUIRE(fix.store->LayersUsage().bytes < usage.bytes);
  REQUIRE(fix.store->View(other)->lowers.size() == 3);
  REQUIRE(fix.Reopen().empty());
  REQUIRE(fix.store->View(other)->lowers.size() == 3);
  REQUIRE_FALSE(fix.store->Has(one));
  REQUIRE(fix.store->DeleteUnlisted(fix.store->Unlist({lowest, lower, other})).ok());
  REQUIRE(fix.Empty());
}

TEST_CASE("layers taken out of the index are found by nobody, and again after a crash") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(Tar("a"));
  const oci::ChainId upper = *fix.Unpack(Tar("b"), lower);
  const Usage usage = fix.store->LayersUsage();
  REQUIRE(fix.store->Unlist({lower, upper}).size() == 2);
  CHECK_FALSE(fix.store->Has(lower));
  CHECK_FALSE(fix.store->View(upper).ok());
  CHECK(fix.store->LayersUsage().bytes == 0);
  REQUIRE(fix.Reopen().empty());
  CHECK(fix.store->View(upper).ok());
  CHECK(fix.store->LayersUsage().bytes == usage.bytes);
}

TEST_CASE("all layers of an image are removed, and unknown ones ignored") {
  StoreFixture fix;
  const oci::ChainId lower = *fix.Unpack(Tar("a"));
  const oci::ChainId upper = *fix.Unpack(Tar("b"), lower);
  REQUIRE(fix.store
              ->DeleteUnlisted(
                  fix.store->Unlist({lower, upper, oci::ChainId(digest::Sha256("unknown"))}))
              .ok());
  REQUIRE_FALSE(fix.store->Has(lower));
  REQUIRE(fix.store->LayersUsage().bytes == 0);
  REQUIRE(fix.store->LayersUsage().inodes == 0);
  REQUIRE(fix.Empty());
}

TEST_CASE("a container's writable layer is made, measured and removed") {
  StoreFixture fix;
  const oci::ChainId chain = *fix.Unpack(Tar("a"));
  const auto view = fix.store->Prepare(kContainer, chain, Owner{100'000, 200'000});
  REQUIRE(view.ok());
  REQUIRE(view->upper == "containers/" + kContainer + "/fs");
  REQUIRE(view->work == "containers/" + kContainer + "/work");
  REQUIRE_FALSE(view->read_only);
  const struct stat info = Stat(fix.root() + "/" + view->upper);
  REQUIRE(info.st_mode == (S_IFDIR | 0755));
  REQUIRE(info.st_uid == 100'000);
  REQUIRE(info.st_gid == 200'000);
  REQUIRE(absl::IsAlreadyExists(fix.store->Prepare(kContainer, chain, {}).status()));
  REQUIRE(absl::IsInvalidArgument(fix.store->Prepare("../x", chain, {}).status()));
  REQUIRE(absl::IsInvalidArgument(fix.store->RemoveContainer("..")));
  REQUIRE(fix.store->ContainerView(kContainer, chain)->upper == view->upper);
  REQUIRE(*fix.store->Containers() == std::vector<std::string>{kContainer});

  const std::string upper = fix.root() + "/" + view->upper;
  REQUIRE(Measure(*fix.store).inodes == 1);
  REQUIRE(base::WriteFileAtomic(upper + "/f", std::string(1 << 20, 'x'), 0600).ok());
  REQUIRE(link((upper + "/f").c_str(), (upper + "/g").c_str()) == 0);
  const Usage usage = Measure(*fix.store);
  REQUIRE(usage.inodes == 2);
  REQUIRE(usage.bytes >= (1 << 20));
  REQUIRE(usage.bytes < (1 << 20) + 65536);
  // What is in its volumes counts, too.
  const std::string volumes = fix.store->VolumesDirectory(kContainer);
  REQUIRE(base::MakeDirs(volumes + "/0", 0755).ok());
  REQUIRE(base::WriteFileAtomic(volumes + "/0/f", std::string(1 << 20, 'x'), 0600).ok());
  REQUIRE(Measure(*fix.store).inodes == 5);
  REQUIRE(Measure(*fix.store).bytes >= (2 << 20));

  REQUIRE(fix.store->RemoveContainer(kContainer).ok());
  REQUIRE(fix.store->RemoveContainer(kContainer).ok());
  REQUIRE(absl::IsNotFound(fix.store->OpenContainer(kContainer).status()));
  REQUIRE(absl::IsNotFound(fix.store->ContainerView(kContainer, chain).status()));
  REQUIRE(fix.store->Containers()->empty());
}

TEST_CASE("deep and immutable trees are removed; links are not followed") {
  StoreFixture fix;
  const std::string upper = fix.root() + "/" + fix.store->Prepare(kContainer, {}, {})->upper;
  int dir = open(upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  constexpr int kDepth = 20'000;
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(mkdirat(dir, "deep", 0755) == 0);
    const int next = openat(dir, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(dir);
    dir = next;
  }
  close(dir);
  REQUIRE(Measure(*fix.store).inodes == kDepth + 1);
  REQUIRE(symlink(fix.Canary().c_str(), (upper + "/canary").c_str()) == 0);
  REQUIRE(mkdir((upper + "/locked").c_str(), 0755) == 0);
  REQUIRE(base::WriteFileAtomic(upper + "/locked/file", "x", 0600).ok());
  const int locked = open((upper + "/locked").c_str(), O_RDONLY | O_CLOEXEC);
  int flags = FS_IMMUTABLE_FL;
  const bool immutable = ioctl(locked, FS_IOC_SETFLAGS, &flags) == 0;
  close(locked);
  if (!immutable) WARN("this file system has no immutable flag");
  REQUIRE(fix.store->RemoveContainer(kContainer).ok());
  REQUIRE(fix.Empty());
  REQUIRE(fix.CanaryUntouched());
}

TEST_CASE("only root can read the store") {
  StoreFixture fix;
  REQUIRE(fix.Unpack(Tar("a")).ok());
  for (const char* name : {"", "/layers", "/staging", "/containers", "/trash"}) {
    REQUIRE((Stat(fix.root() + name).st_mode & 0777) == 0700);
  }
}

}  // namespace
}  // namespace crisp::snapshot
