#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/quarantine.h"
#include "base/temporary_files.h"
#include "test/unit/killed_process.h"

using namespace crisp;

namespace {

// A temporary directory, removed by the destructor.
struct TempDir {
  std::string path;
  TempDir() {
    char name[] = "/tmp/crisp-base-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~TempDir() { (void)base::RemoveTree(path); }
};

}  // namespace

TEST_CASE("WriteFileAtomic replaces the file and leaves no temporary") {
  TempDir dir;
  const std::string path = base::JoinPath(dir.path, "record.json");
  for (const char* text : {"one", "two"}) {
    REQUIRE(base::WriteFileAtomic(path, text, 0600, base::Durability::kPower).ok());
    CHECK(*base::ReadFile(path) == text);
  }
  CHECK(base::ListDir(dir.path)->size() == 1);
}

TEST_CASE("WriteFileAtomic into a missing directory names the path and the errno") {
  const absl::Status status = base::WriteFileAtomic("/nonexistent/x", "", 0600);
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(std::string(status.message()).find("/nonexistent/x") != std::string::npos);
  CHECK(std::string(status.message()).find("ENOENT") != std::string::npos);
}

TEST_CASE("ReadFile refuses more than the limit") {
  TempDir dir;
  const std::string path = base::JoinPath(dir.path, "big");
  REQUIRE(base::WriteFileAtomic(path, std::string(100, 'x'), 0600).ok());
  CHECK(base::ReadFile(path, 100).ok());
  CHECK(base::ReadFile(path, 99).status().code() == absl::StatusCode::kOutOfRange);
}

TEST_CASE("RemoveTree removes a tree deeper than PATH_MAX") {
  TempDir dir;
  const std::string top = base::JoinPath(dir.path, "deep");
  REQUIRE(mkdir(top.c_str(), 0700) == 0);
  int fd = open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(mkdirat(fd, "a", 0700) == 0);
    REQUIRE(mkdirat(fd, "b", 0700) == 0);
    const int next = openat(fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    fd = next;
  }
  close(fd);
  const absl::Status status = base::RemoveTree(top);
  INFO(status.message());
  CHECK(status.ok());
  CHECK(base::ListDir(dir.path)->empty());
}

TEST_CASE("a removal that is killed at any moment is finished by the next") {
  TempDir dir;
  const std::string top = base::JoinPath(dir.path, "tree");
  const auto make_tree = [&] {
    for (const char* name : {"a/b/c", "a/d/e", "f/g/h", "f/i/j"}) {
      const std::string path = base::JoinPath(top, name);
      REQUIRE(base::MakeDirs(path, 0700).ok());
      REQUIRE(base::WriteFileAtomic(base::JoinPath(path, "file"), "data", 0600).ok());
    }
  };
  const int changes = test::KillBeforeEachChange(
      make_tree, [&] { return base::RemoveTree(top).ok(); },
      [&](bool) {
        const absl::Status status = base::RemoveTree(top);
        INFO(status.message());
        REQUIRE(status.ok());
        CHECK(base::ListDir(dir.path)->empty());
      });
  CHECK(changes > 15);
}

TEST_CASE("a file that is replaced by a writer who is killed is the old or the new one") {
  TempDir dir;
  const std::string path = base::JoinPath(dir.path, "file");
  const std::string other = base::JoinPath(dir.path, "file.tmpl");
  REQUIRE(base::WriteFileAtomic(other, "kept", 0600).ok());
  const int changes = test::KillBeforeEachChange(
      [&] { REQUIRE(base::WriteFileAtomic(path, "old", 0600).ok()); },
      [&] { return base::WriteFileAtomic(path, "new", 0600, base::Durability::kPower).ok(); },
      [&](bool killed) {
        const std::string text = *base::ReadFile(path);
        CHECK((text == "new" || (killed && text == "old")));
        base::RemoveTemporaries(path);
        CHECK(*base::ListDir(dir.path) == std::vector<std::string>{"file", "file.tmpl"});
      });
  CHECK(changes >= 5);
}

TEST_CASE("what is moved to a quarantine is at its place or there, whenever that is cut short") {
  TempDir dir;
  const std::string from = base::JoinPath(dir.path, "damaged");
  const std::string quarantine = base::JoinPath(dir.path, "quarantine");
  const auto move = [&] { return base::MoveToQuarantine(from, quarantine, "damaged").ok(); };
  test::KillBeforeEachChange(
      [&] { REQUIRE(base::WriteFileAtomic(from, "text", 0600).ok()); }, move,
      [&](bool) {
        const bool moved = access(from.c_str(), F_OK) != 0;
        CHECK((moved || move()));
        CHECK(*base::ListDir(dir.path) == std::vector<std::string>{"quarantine"});
        CHECK(base::ListDir(quarantine)->size() == 1);
        REQUIRE(base::RemoveTree(quarantine).ok());
      });
  for (size_t i = 0; i < base::kMaxQuarantined; ++i)
    REQUIRE((base::WriteFileAtomic(from, "", 0600).ok() && move()));
  const auto one_too_many = [&] {
    REQUIRE(base::MakeDirs(base::JoinPath(quarantine, "old-1", "below"), 0700).ok());
  };
  test::KillBeforeEachChange(
      one_too_many,
      [&] {
        base::LimitQuarantine(quarantine);
        return true;
      },
      [&](bool) {
        base::LimitQuarantine(quarantine);
        CHECK(base::ListDir(quarantine)->size() == base::kMaxQuarantined);
        CHECK(access(base::JoinPath(quarantine, "old-1").c_str(), F_OK) != 0);
      });
}

TEST_CASE("RemoveTree does not follow links and accepts a missing path") {
  TempDir dir;
  const std::string kept = base::JoinPath(dir.path, "kept");
  const std::string tree = base::JoinPath(dir.path, "tree");
  REQUIRE(base::MakeDirs(base::JoinPath(tree, "x/y"), 0700).ok());
  REQUIRE(base::MakeDirs(kept, 0700).ok());
  REQUIRE(base::WriteFileAtomic(base::JoinPath(kept, "file"), "data", 0600).ok());
  REQUIRE(symlink(kept.c_str(), base::JoinPath(tree, "x/link").c_str()) == 0);
  CHECK(base::RemoveTree(tree).ok());
  CHECK(base::RemoveTree(tree).ok());
  CHECK(*base::ReadFile(base::JoinPath(kept, "file")) == "data");
}

TEST_CASE("JoinPath puts exactly one slash between its parts") {
  CHECK(base::JoinPath("/a", "b") == "/a/b");
  CHECK(base::JoinPath("/a/", "/b") == "/a/b");
  CHECK(base::JoinPath("/", "b") == "/b");
  CHECK(base::JoinPath("/a", "b", "c") == "/a/b/c");
  CHECK(base::JoinPath("/a", "") == "/a");
}
