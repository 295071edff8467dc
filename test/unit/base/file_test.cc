#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/str_cat.h"

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

// Calls `work` in a process of its own, which is killed at its system call `count`. False when it
// ended before.
template <typename Work>
bool KilledAtSystemCall(int count, const Work& work) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    work();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  for (int i = 0; i < count && WIFSTOPPED(status); ++i) {
    REQUIRE(ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) == 0);
    REQUIRE(waitpid(pid, &status, 0) == pid);
  }
  if (!WIFSTOPPED(status)) return false;
  kill(pid, SIGKILL);
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return true;
}

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
  bool killed = true;
  int moments = 0;
  for (; killed; ++moments) {
    for (const char* name : {"a/b/c", "a/d/e", "f/g/h", "f/i/j"}) {
      const std::string path = base::JoinPath(top, name);
      REQUIRE(base::MakeDirs(path, 0700).ok());
      REQUIRE(base::WriteFileAtomic(base::JoinPath(path, "file"), "data", 0600).ok());
    }
    killed = KilledAtSystemCall(moments, [&] { (void)base::RemoveTree(top); });
    const absl::Status status = base::RemoveTree(top);
    INFO("killed at " << moments << ": " << status.message());
    REQUIRE(status.ok());
    CHECK(base::ListDir(dir.path)->empty());
  }
  CHECK(moments > 50);  // it was killed within its work
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
