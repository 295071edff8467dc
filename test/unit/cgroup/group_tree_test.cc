// Groups that containers and execs make in their own: removed with those, and no bound on them.
#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <thread>

#include "kernel_fixture.h"

using namespace crisp;
using namespace crisp::cgroup_test;

namespace {

// Makes groups in a group, each in the one before: their path is longer than the kernel takes.
void MakeDeepGroups(const std::string& group) {
  base::UniqueFd here = *base::Open(group, O_RDONLY | O_DIRECTORY);
  const std::string name(200, 'g');
  for (int i = 0; i < 30; ++i) {
    REQUIRE(mkdirat(here.get(), "other", 0755) == 0);
    REQUIRE(mkdirat(here.get(), name.c_str(), 0755) == 0);
    here = *base::OpenAt(here.get(), name, O_RDONLY | O_DIRECTORY);
  }
}

}  // namespace

TEST_CASE("a group is removed with all that its container has made in it, in several calls") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  REQUIRE(kernel.groups->Create(path, {}).ok());
  const std::string group = kernel.layout().At(path).v2;
  MakeDeepGroups(group);
  // Who has no time, as crispd at its start beside many such groups, is not held up.
  CHECK(absl::IsDeadlineExceeded(kernel.groups->Remove(path, absl::ZeroDuration())));
  CHECK(Exists(group));
  const absl::Status removed = kernel.groups->Remove(path, kPatience);
  INFO(removed);
  CHECK(removed.ok());
  CHECK_FALSE(kernel.ExistsAnywhere(path));
}

TEST_CASE("calls that remove the same groups at once all succeed") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  REQUIRE(kernel.groups->Create(path, {}).ok());
  MakeDeepGroups(kernel.layout().At(path).v2);
  std::vector<absl::Status> removed(4);
  std::vector<std::thread> threads;
  for (absl::Status& status : removed)
    threads.emplace_back([&] { status = kernel.groups->Remove(path, kPatience); });
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : removed) CHECK(status == absl::OkStatus());
  CHECK_FALSE(kernel.ExistsAnywhere(path));
}

TEST_CASE("the groups that an exec has made below its own go with it, and stay while one is used") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  REQUIRE(kernel.groups->Create(path, {}).ok());
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  REQUIRE(join.ok());
  const auto exec = cgroup::MakeExecGroup(join->v2.get(), 1);
  REQUIRE(exec.ok());
  const std::string below = path + "/" + cgroup::ExecGroupName(1);
  const std::string group = kernel.layout().At(below).v2;
  MakeDeepGroups(group);
  const Pipe end;
  const pid_t pid = Start(*join, exec->get(), [&] { return end.Hear() ? 0 : 1; });
  const auto remove = [&] {
    return cgroup::RemoveExecGroup(join->v2.get(), 1, base::Deadline::In(kPatience));
  };
  CHECK(absl::IsFailedPrecondition(remove()));
  CHECK(Exists(group + "/other"));
  end.Tell();
  CHECK(Wait(pid) == 0);
  REQUIRE(kernel.groups->WaitEmpty(below, kPatience).ok());
  CHECK(remove().ok());
  CHECK_FALSE(Exists(group));
  KillAndRemove(kernel, path);
}
