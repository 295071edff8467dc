#include "snapshot/tree_fixups.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "base/file.h"

namespace crisp::snapshot {

namespace {

// A layer on top of another one, both with the file "a".
struct TwoLayers {
  std::string root = "/tmp/crisp-test-fixups-XXXXXX";
  Deferred deferred;

  TwoLayers() {
    REQUIRE(mkdtemp(root.data()) != nullptr);
    REQUIRE(base::MakeDirs(root + "/top", 0700).ok());
    REQUIRE(base::MakeDirs(root + "/lower", 0700).ok());
    Write("lower/a", "old");
  }
  ~TwoLayers() { (void)base::RemoveTree(root); }

  void Write(const std::string& name, const std::string& text) const {
    REQUIRE(base::WriteFileAtomic(base::JoinPath(root, name), text, 0644).ok());
  }
  void Link(const std::string& name, const std::string& target) {
    Metadata data;
    data.mode = 0644;
    data.uid = getuid();
    data.gid = getgid();
    deferred.links.push_back({name, target, /*follow=*/false, data});
  }
  absl::Status Fix() {
    const base::UniqueFd top(open((root + "/top").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::vector<base::UniqueFd> layers;
    for (const char* layer : {"/top", "/lower"})
      layers.emplace_back(open((root + layer).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    MergedTree merged(std::move(layers), deferred.opaque, /*max_lookups=*/100);
    SpaceGuard guard(top.get(), {});
    return ApplyFixups(top.get(), merged, deferred, guard);
  }
  std::string Read(const std::string& name) const {
    return base::ReadFile(base::JoinPath(root, "top", name), 100).value_or("none");
  }
  ino_t Inode(const std::string& name) const {
    struct stat info = {};
    REQUIRE(stat(base::JoinPath(root, "top", name).c_str(), &info) == 0);
    return info.st_ino;
  }
};

}  // namespace

TEST_CASE("a link to a lower file is that file, although the layer replaces it later") {
  TwoLayers layers;
  layers.Write("top/a", "new");
  layers.Link("b", "a");
  layers.Link("c", "b");
  const absl::Status status = layers.Fix();
  INFO(status);
  REQUIRE(status.ok());
  CHECK(layers.Read("a") == "new");
  CHECK(layers.Read("b") == "old");
  CHECK(layers.Inode("c") == layers.Inode("b"));
}

// The entries were: usr/x, then y as a link to lib/x. Only the lower layer knows where lib leads.
TEST_CASE("a link through a lower layer's link to a file of the layer itself is that file") {
  TwoLayers layers;
  REQUIRE(base::MakeDirs(layers.root + "/lower/usr", 0755).ok());
  REQUIRE(base::MakeDirs(layers.root + "/top/usr", 0755).ok());
  REQUIRE(symlink("usr", (layers.root + "/lower/lib").c_str()) == 0);
  layers.Write("lower/usr/x", "old");
  layers.Write("top/usr/x", "new");
  layers.Link("y", "lib/x");
  const absl::Status status = layers.Fix();
  INFO(status);
  REQUIRE(status.ok());
  CHECK(layers.Read("y") == "new");
  CHECK(layers.Inode("y") == layers.Inode("usr/x"));
}

TEST_CASE("links to one lower file are one file, and so are those to a link") {
  TwoLayers layers;
  layers.Link("b", "a");
  layers.Link("c", "a");
  layers.Link("d", "c");
  REQUIRE(layers.Fix().ok());
  CHECK(layers.Read("a") == "old");
  for (const char* name : {"b", "c", "d"}) CHECK(layers.Inode(name) == layers.Inode("a"));
}

TEST_CASE("a link to a file that only the layer has, and later, is that file") {
  TwoLayers layers;
  layers.Write("top/n", "new");
  layers.Link("m", "n");
  layers.Link("missing", "nowhere");
  CHECK(absl::IsInvalidArgument(layers.Fix()));
  CHECK(layers.Inode("m") == layers.Inode("n"));
}

TEST_CASE("the look-ups for a deep name grow with its depth, not with its square") {
  char root[] = "/tmp/crisp-test-fixups-XXXXXX";
  REQUIRE(mkdtemp(root) != nullptr);
  const absl::Cleanup remove = [&] { (void)base::RemoveTree(root); };
  constexpr int kDepth = 1000;
  Deferred deferred;
  base::UniqueFd here(open(root, O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string path;
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(mkdirat(here.get(), "d", 0755) == 0);
    here.reset(openat(here.get(), "d", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat info;
    REQUIRE(fstat(here.get(), &info) == 0);
    path += i == 0 ? "d" : "/d";
    deferred.implicit_directories[info.st_ino] = path;
  }
  const base::UniqueFd top(open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<base::UniqueFd> layers;
  layers.emplace_back(open(root, O_PATH | O_DIRECTORY | O_CLOEXEC));
  MergedTree merged(std::move(layers), deferred.opaque, /*max_lookups=*/4 * kDepth);
  SpaceGuard guard(top.get(), {});
  const absl::Status status = ApplyFixups(top.get(), merged, deferred, guard);
  INFO(status);
  CHECK(status.ok());
}

}  // namespace crisp::snapshot
