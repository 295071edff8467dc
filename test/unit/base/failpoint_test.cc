// base/failpoint.cc, and the side of the test that makes programs stand still.
#include "base/failpoint.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "fault/kill_points/standstill.h"

using namespace crisp;

namespace {

// Runs this test's `work` in a child process, which has the file from its parent's environment as
// crispd has.
class Program {
 public:
  template <typename Work>
  explicit Program(Work work) : pid_(fork()) {
    if (pid_ == 0) _exit(work());
  }
  ~Program() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  int Wait() {
    int status = -1;
    REQUIRE(waitpid(pid_, &status, 0) == pid_);
    pid_ = 0;
    return WEXITSTATUS(status);
  }

 private:
  pid_t pid_;
};

std::string NewPath() {
  const char* directory = getenv("TMPDIR");
  return absl::StrCat(directory == nullptr ? "/tmp" : directory, "/failpoint-", getpid());
}

int PassThree() {
  base::Failpoint("first");
  base::Failpoint("two ", "parts");
  errno = ERANGE;
  base::Failpoint("first");
  return errno == ERANGE ? 3 : 1;
}

}  // namespace

// The first case: what a program maps at its first point, its children have too.
TEST_CASE("without a file every point is passed") { CHECK(Program(PassThree).Wait() == 3); }

TEST_CASE("a program stands still at the nth passing of one point until it is released") {
  test::Standstill standstill(NewPath());
  standstill.Arm("first", 2);
  Program program(PassThree);
  REQUIRE(standstill.Await(absl::Seconds(30)));
  CHECK(standstill.Passed() == std::vector<std::string>{"first", "two parts", "first"});
  standstill.Release();
  CHECK(program.Wait() == 3);
  CHECK_FALSE(standstill.Await(absl::ZeroDuration()));
}

TEST_CASE("a point that is not wanted stops nothing; it is recorded") {
  test::Standstill standstill(NewPath());
  standstill.Arm("two ", 1);
  CHECK(Program(PassThree).Wait() == 3);
  CHECK_FALSE(standstill.Await(absl::ZeroDuration()));
  CHECK(standstill.Passed().size() == 3);
  standstill.Record();
  CHECK(standstill.Passed().empty());
}

TEST_CASE("a child without descriptors stands still too, and its parent goes on") {
  test::Standstill standstill(NewPath());
  standstill.Arm("child", 1);
  Program program([] {
    base::Failpoint("parent");
    const pid_t child = fork();
    if (child == 0) {
      close_range(0, ~0u, 0);
      base::Failpoint("child");
      _exit(5);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  });
  REQUIRE(standstill.Await(absl::Seconds(30)));
  standstill.Release();
  CHECK(program.Wait() == 5);
}

TEST_CASE("names that are too long are cut") {
  test::Standstill standstill(NewPath());
  const std::string name(100, 'n');
  standstill.Arm(name, 1);
  Program program([&] {
    base::Failpoint(name.c_str());
    return 0;
  });
  REQUIRE(standstill.Await(absl::Seconds(30)));
  CHECK(standstill.Passed() == std::vector<std::string>{std::string(63, 'n')});
  standstill.Release();
  CHECK(program.Wait() == 0);
}
