// The tree is changed between the slices of a walk, as a container changes it.
#include "snapshot/usage_walk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/id.h"

namespace crisp::snapshot {
namespace {

using Progress = UsageWalk::Progress;

// A directory with `wide` directories of `files` files each.
class Tree {
 public:
  Tree(int wide, int files) {
    Make(path_);
    for (int i = 0; i < wide; ++i) {
      const std::string dir = absl::StrCat(path_, "/d", i);
      Make(dir);
      for (int k = 0; k < files; ++k) Touch(absl::StrCat(dir, "/f", k));
    }
  }
  ~Tree() { (void)base::RemoveTree(path_); }

  static void Make(const std::string& path) { REQUIRE(mkdir(path.c_str(), 0755) == 0); }
  static void Touch(const std::string& path) {
    const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    close(fd);
  }
  static void Move(const std::string& from, const std::string& to) {
    REQUIRE(rename(from.c_str(), to.c_str()) == 0);
  }

  const std::string& path() const { return path_; }
  std::unique_ptr<UsageWalk> Walk(std::optional<UsageWalk::Limits> limits = std::nullopt) const {
    auto root = base::Open(path_, O_RDONLY | O_DIRECTORY);
    REQUIRE(root.ok());
    auto walk = UsageWalk::Begin(*std::move(root), limits);
    REQUIRE(walk.ok());
    return *std::move(walk);
  }

 private:
  const std::string path_ = "/tmp/crisp-usage-walk-" + base::NewId().substr(0, 12);
};

bool AtOnce() { return true; }
bool Never() { return false; }

}  // namespace

TEST_CASE("a hard link counts once, in whatever directories it is") {
  const Tree tree(2, 3);
  REQUIRE(base::WriteFileAtomic(tree.path() + "/d0/big", std::string(1 << 20, 'x'), 0600).ok());
  const std::string big = tree.path() + "/d0/big";
  for (int i = 0; i < 100; ++i)
    REQUIRE(link(big.c_str(), absl::StrCat(tree.path(), "/d1/l", i).c_str()) == 0);
  const auto walk = tree.Walk();
  REQUIRE(walk->Step(Never).value() == Progress::kDone);
  CHECK(walk->counted().inodes == 1 + 2 + 6 + 1);
  CHECK(walk->counted().bytes >= (1 << 20));
  CHECK(walk->counted().bytes < (1 << 20) + 65536);
}

// Which of the two directories a walk reads first is not known: each is tried.
TEST_CASE("what is moved ahead of a walk counts once and does not end it") {
  constexpr int kWide = 40, kFiles = 100;
  const bool directories = GENERATE(true, false);
  const bool a_first = GENERATE(true, false);
  CAPTURE(directories, a_first);
  const Tree tree(0, 0);
  const std::string here = tree.path() + (a_first ? "/a" : "/b");
  const std::string there = tree.path() + (a_first ? "/b" : "/a");
  Tree::Make(here);
  Tree::Make(there);
  for (int i = 0; i < kWide; ++i) {
    const std::string path = absl::StrCat(here, "/", i);
    directories ? Tree::Make(path) : Tree::Touch(path);
    for (int k = 0; directories && k < kFiles; ++k) Tree::Touch(absl::StrCat(path, "/f", k));
  }
  const auto walk = tree.Walk();
  bool moved = false;
  while (walk->Step(AtOnce).value() == Progress::kMore) {
    if (moved || walk->counted().inodes < 20) continue;
    for (int i = 0; i < kWide; ++i)
      Tree::Move(absl::StrCat(here, "/", i), absl::StrCat(there, "/", i));
    moved = true;
  }
  CHECK(moved);
  CHECK(walk->counted().inodes <= 3 + kWide * (directories ? kFiles + 1 : 1));
  CHECK(walk->counted().inodes >= 20);
}

// So that no container can hide what it has behind many links.
TEST_CASE("the hard links of a tree that rests never cut a walk") {
  const Tree tree(1, 1000);
  for (int i = 0; i < 3000; ++i) {
    const std::string file = absl::StrCat(tree.path(), "/d0/f", i % 10);
    REQUIRE(link(file.c_str(), absl::StrCat(tree.path(), "/d0/l", i).c_str()) == 0);
  }
  const auto walk = tree.Walk({{.inodes = 2000, .idle_names = 0}});
  CHECK(walk->Step(Never).value() == Progress::kDone);
  CHECK(walk->counted().inodes == 1002);
}

TEST_CASE("too much that is moved ahead of a walk ends a directory, not the walk") {
  constexpr int kMoved = 2000;
  const bool a_first = GENERATE(true, false);
  CAPTURE(a_first);
  const Tree tree(0, 0);
  const std::string here = tree.path() + (a_first ? "/a" : "/b");
  const std::string there = tree.path() + (a_first ? "/b" : "/a");
  for (const std::string& path : {here, there, there + "/c"}) Tree::Make(path);
  for (int i = 0; i < kMoved; ++i) Tree::Touch(absl::StrCat(here, "/", i));
  for (int i = 0; i < 100; ++i) Tree::Touch(absl::StrCat(there, "/c/", i));
  const auto walk = tree.Walk({{.inodes = 10'000, .idle_names = 0}});
  bool moved = false;
  absl::StatusOr<Progress> end = Progress::kMore;
  while ((end = walk->Step(AtOnce)).value() == Progress::kMore) {
    if (moved || walk->counted().inodes < kMoved) continue;
    for (int i = 0; i < kMoved; ++i)
      Tree::Move(absl::StrCat(here, "/", i), absl::StrCat(there, "/", i));
    moved = true;
  }
  CHECK(moved);
  CHECK(walk->counted().inodes <= 4 + kMoved + 100);
  CHECK(walk->counted().inodes >= kMoved);
}

TEST_CASE("of more directories than a walk keeps in mind each is read by some walk") {
  const Tree tree(100, 0);
  const std::string big = tree.path() + absl::StrCat("/d", GENERATE(0, 1, 50, 98, 99), "/big");
  REQUIRE(base::WriteFileAtomic(big, std::string(1 << 20, 'x'), 0600).ok());
  bool counted = false;
  for (int i = 0; i < 1000 && !counted; ++i) {
    const auto walk = tree.Walk({{.inodes = 1000, .idle_names = 0, .directories = 10}});
    REQUIRE(walk->Step(Never).value() == Progress::kCut);
    CHECK(walk->counted().inodes >= 101);
    counted = walk->counted().bytes >= (1 << 20);
  }
  CHECK(counted);
}

TEST_CASE("inodes beyond those that a walk remembers count all the same") {
  const Tree tree(3, 500);
  REQUIRE(base::WriteFileAtomic(tree.path() + "/d0/big", std::string(1 << 20, 'x'), 0600).ok());
  const std::string big = tree.path() + "/d0/big";
  for (int i = 0; i < 3; ++i)
    REQUIRE(link(big.c_str(), absl::StrCat(tree.path(), "/d", i, "/l").c_str()) == 0);
  const auto walk = tree.Walk({{.inodes = 10'000, .idle_names = 100, .groups = 1}});
  REQUIRE(walk->Step(Never).value() == Progress::kCut);
  CHECK(walk->counted().inodes >= 4 + 1500);
  CHECK(walk->counted().inodes <= 4 + 1500 + 1);
  CHECK(walk->counted().bytes > (1 << 20) - 4096);
  CHECK(walk->counted().bytes < (1 << 20) + 16 * 4096);
}

TEST_CASE("a walk that counts more inodes than there can be is cut, and keeps what it has") {
  const Tree tree(4, 500);
  const auto walk = tree.Walk({{.inodes = 1000, .idle_names = 0}});
  REQUIRE(walk->Step(Never).value() == Progress::kCut);
  CHECK(walk->counted().inodes == 1001);
}

TEST_CASE("a directory that vanishes during a walk is left out") {
  const Tree tree(30, 30);
  const auto walk = tree.Walk();
  REQUIRE(walk->Step(AtOnce).value() == Progress::kMore);
  for (int i = 0; i < 30; ++i) REQUIRE(base::RemoveTree(absl::StrCat(tree.path(), "/d", i)).ok());
  CHECK(walk->Step(Never).value() == Progress::kDone);
  CHECK(walk->counted().inodes < 31 + 30 * 30);
}

TEST_CASE("a container cannot see where a walk is: access times stay") {
  const Tree tree(1, 1);
  const std::string dir = tree.path() + "/d0";
  const timespec old[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 2000, .tv_nsec = 0}};
  REQUIRE(utimensat(AT_FDCWD, dir.c_str(), old, 0) == 0);
  REQUIRE(tree.Walk()->Step(Never).value() == Progress::kDone);
  struct stat info;
  REQUIRE(stat(dir.c_str(), &info) == 0);
  CHECK(info.st_atim.tv_sec == 1000);
}

}  // namespace crisp::snapshot
