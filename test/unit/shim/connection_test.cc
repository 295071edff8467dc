// Connections of crispd to a shim that has no descriptors left.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "bundle.h"
#include "unit/eventually.h"

namespace crisp::test {
namespace {

// How many descriptors the process's epoll(7) watches.
size_t WatchedBy(pid_t pid) {
  const std::string directory = absl::StrCat("/proc/", pid, "/fdinfo");
  size_t count = 0;
  for (const std::string& fd : base::ListDir(directory).value_or(std::vector<std::string>())) {
    const std::string info = base::ReadFile(absl::StrCat(directory, "/", fd)).value_or("");
    for (const absl::string_view line : absl::StrSplit(info, '\n'))
      count += absl::StartsWith(line, "tfd:") ? 1 : 0;
  }
  return count;
}

bool IsAsleep(pid_t pid) {
  const auto status = base::ReadFile(absl::StrCat("/proc/", pid, "/status"));
  return status.ok() && absl::StrContains(*status, "State:\tS");
}

TEST_CASE("a connection for which the shim has no descriptor is served once it has one") {
  Bundle bundle;
  REQUIRE(bundle.Start(ShellSpec("sleep 1000")).ok());
  const pid_t shim = bundle.shim_pid();
  REQUIRE(Eventually([&] { return IsAsleep(shim); }));  // it has closed the start's connection
  rlimit given = {};
  REQUIRE(prlimit(shim, RLIMIT_NOFILE, nullptr, &given) == 0);
  const rlimit none = {3, given.rlim_max};
  REQUIRE(prlimit(shim, RLIMIT_NOFILE, &none, nullptr) == 0);
  const size_t watched = WatchedBy(shim);
  absl::StatusOr<Bundle::ExecResult> result = absl::UnknownError("");
  std::thread exec([&] { result = bundle.Exec({"echo", "served"}); });
  CHECK(Eventually([&] { return WatchedBy(shim) < watched; }));  // accept4(2) has failed
  CHECK(prlimit(shim, RLIMIT_NOFILE, &given, nullptr) == 0);
  exec.join();
  REQUIRE(result.ok());
  CHECK(result->out == "served\n");
  bundle.Kill();
}

}  // namespace
}  // namespace crisp::test
