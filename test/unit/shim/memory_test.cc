// The memory budget of a shim: 128 KiB private after a start, some output and an exec.
#include <poll.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "bundle.h"

namespace crisp::test {
namespace {

constexpr int kBudgetKib = 128;

[[maybe_unused]] int PrivateKib(pid_t pid) {
  const std::string rollup = Slurp(absl::StrCat("/proc/", pid, "/smaps_rollup"));
  int total = 0;
  for (const char* name : {"Private_Clean:", "Private_Dirty:"}) {
    const size_t at = rollup.find(name);
    REQUIRE(at != std::string::npos);
    total += atoi(rollup.c_str() + at + 14);
  }
  return total;
}

}  // namespace

TEST_CASE("an idle shim stays within its memory budget", "[shim][memory]") {
#ifdef __SANITIZE_ADDRESS__
  printf("skipped: an idle shim stays within its memory budget: AddressSanitizer's own memory\n");
#else
  // A page of the program counts as private while only one process has used it: a second shim does
  // the same things as the measured one.
  Bundle neighbour;
  REQUIRE(neighbour.Start(ShellSpec("seq 1 1000; exec sleep 1000")).ok());
  REQUIRE(neighbour.Exec({"seq", "1", "1000"}).ok());
  Bundle bundle;
  REQUIRE(bundle.Start(ShellSpec("seq 1 1000; exec sleep 1000")).ok());
  const int started_kib = PrivateKib(bundle.shim_pid());
  REQUIRE(bundle.Exec({"seq", "1", "1000"}).ok());
  Await(bundle.log_path(),
        [](const std::string& log) { return log.find(" 1000\n") != std::string::npos; });
  // The shim frees the session of the exec after it has answered.
  int idle_kib = PrivateKib(bundle.shim_pid());
  for (int i = 0; i < 1000 && idle_kib > kBudgetKib; ++i) {
    poll(nullptr, 0, 5);
    idle_kib = PrivateKib(bundle.shim_pid());
  }
  printf("shim: %d KiB private after the start, %d KiB after output and an exec (budget %d KiB)\n",
         started_kib, idle_kib, kBudgetKib);
  CHECK(idle_kib <= kBudgetKib);
#endif
}

}  // namespace crisp::test
