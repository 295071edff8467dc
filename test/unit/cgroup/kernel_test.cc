#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/id.h"
#include "cgroup/cgroups.h"
#include "cgroup/join.h"
#include "kernel_fixture.h"

using namespace crisp;
using namespace crisp::cgroup_test;

TEST_CASE("limits are in the kernel's files") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.cpu_shares = 512;
  resources.cpu_quota_us = 20000;
  resources.cpu_period_us = 50000;
  resources.cpuset_cpus = "0";
  resources.memory_limit_bytes = 64 * kMiB;
  resources.memory_swap_limit_bytes = 80 * kMiB;
  resources.pids_limit = 77;
  resources.hugepage_limits = {{"2MB", 0}, {"3MB", 0}};
  const absl::Status created = kernel.groups->Create(path, resources);
  INFO(created);
  REQUIRE(created.ok());
  CHECK(kernel.Read(path, "cpu", "cpu.shares", "cpu.weight") ==
        (kernel.layout().v2_only() ? "59" : "512"));
  CHECK(kernel.Read(path, "cpu", "cpu.cfs_quota_us", "cpu.max") ==
        (kernel.layout().v2_only() ? "20000 50000" : "20000"));
  CHECK(kernel.Read(path, "cpuset", "cpuset.cpus") == "0");
  CHECK(kernel.Read(path, "memory", "memory.limit_in_bytes", "memory.max") == "67108864");
  CHECK(kernel.Read(path, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max") ==
        (kernel.layout().v2_only() ? "16777216" : "83886080"));
  CHECK(kernel.Read(path, "pids", "pids.max") == "77");
  if (const cgroup::Hierarchy* hugetlb = kernel.layout().Find("hugetlb")) {
    const bool v2 = hugetlb == &kernel.layout().v2;
    CHECK(kernel.Read(path, "hugetlb", v2 ? "hugetlb.2MB.max" : "hugetlb.2MB.limit_in_bytes") ==
          "0");
  }
  CHECK(absl::IsAlreadyExists(kernel.groups->Create(path, resources)));
  CHECK(kernel.groups->Remove(path, kPatience).ok());
  CHECK(kernel.groups->Remove(path, kPatience).ok());  // gone already
  CHECK(kernel.groups->Kill(path).ok());
  CHECK(absl::IsNotFound(kernel.groups->Update(path, {})));
}

TEST_CASE("a group is found by its id, but not below another group, nor a group of the host") {
  Kernel kernel;
  const std::string path = kernel.NewPath(), inner = base::NewId();
  const std::string id = path.substr(path.rfind('/') + 1);
  CHECK(absl::IsNotFound(kernel.groups->Find(id).status()));
  REQUIRE(kernel.groups->Create(path, {}).ok());
  REQUIRE(mkdir(absl::StrCat(kernel.layout().At(path).v2, "/", inner).c_str(), 0755) == 0);
  CHECK(kernel.groups->Find(id).value_or("") == path);
  CHECK(absl::IsNotFound(kernel.groups->Find(inner).status()));
  CHECK(absl::IsNotFound(kernel.groups->Find(kernel.root.substr(1)).status()));
  REQUIRE(kernel.groups->Remove(path, kPatience).ok());
}

TEST_CASE("a failed Create leaves nothing and names file and value") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.memory_limit_bytes = 64 * kMiB;
  resources.pids_limit = int64_t{1} << 40;  // more than the kernel can count
  const absl::Status created = kernel.groups->Create(path, resources);
  CHECK(absl::IsInvalidArgument(created));
  CHECK(Message(created).find("pids.max=1099511627776") != std::string::npos);
  CHECK(Message(created).find("EINVAL") != std::string::npos);
  CHECK_FALSE(kernel.ExistsAnywhere(kernel.root));
}

TEST_CASE("a group below a parent whose crispd was killed while it made it can be joined") {
  Kernel kernel;
  if (kernel.layout().v2_only() || kernel.layout().Find("cpuset") == nullptr) return;
  // As the parent is left: its directories are there, and nothing else is done.
  std::vector<std::string> made;
  for (const char* parent : {"", "/pods"}) {
    const cgroup::Directories at = kernel.layout().At(kernel.root + parent);
    made.push_back(at.v2);
    made.insert(made.end(), at.v1.begin(), at.v1.end());
  }
  for (const std::string& directory : made) {
    INFO(directory);
    REQUIRE((mkdir(directory.c_str(), 0755) == 0 || errno == EEXIST));
  }
  const std::string path = kernel.NewPath();
  CHECK(kernel.groups->Create(path, {}).ok());
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    CHECK(kernel.Read(path, "cpuset", file) == kernel.Read("", "cpuset", file));
    CHECK(kernel.Read(path, "cpuset", file) != "");
  }
  CHECK(kernel.groups->Remove(path, kPatience).ok());
  std::for_each(made.rbegin(), made.rend(), [](const std::string& each) { rmdir(each.c_str()); });
}

TEST_CASE("Update changes all limits or none") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.cpu_shares = 512;
  resources.memory_limit_bytes = 64 * kMiB;
  resources.memory_swap_limit_bytes = 64 * kMiB;
  resources.pids_limit = 50;
  REQUIRE(kernel.groups->Create(path, resources).ok());
  const auto memory = [&] {
    return kernel.Read(path, "memory", "memory.limit_in_bytes", "memory.max");
  };
  const auto shares = [&] { return kernel.Read(path, "cpu", "cpu.shares", "cpu.weight"); };
  const std::string old_shares = shares();

  for (const int64_t mib : {128, 32, 64}) {  // up, down, up
    Resources change;
    change.memory_limit_bytes = mib * kMiB;
    change.memory_swap_limit_bytes = mib * kMiB;
    CHECK(kernel.groups->Update(path, change).ok());
    CHECK(memory() == absl::StrCat(mib * kMiB));
  }
  CHECK(kernel.Read(path, "pids", "pids.max") == "50");

  Resources bad;
  bad.cpu_shares = 2048;
  bad.memory_limit_bytes = 100 * kMiB;
  bad.memory_swap_limit_bytes = 100 * kMiB;
  bad.pids_limit = int64_t{1} << 40;
  const absl::Status updated = kernel.groups->Update(path, bad);
  CHECK(absl::IsInvalidArgument(updated));
  CHECK(Message(updated).find("pids.max=1099511627776") != std::string::npos);
  CHECK(Message(updated).find("undo") == std::string::npos);
  CHECK(memory() == absl::StrCat(64 * kMiB));
  CHECK(shares() == old_shares);

  Resources devices;
  devices.devices = {{true, 'c', 1, 3, "r"}};
  CHECK(absl::IsInvalidArgument(kernel.groups->Update(path, devices)));
  CHECK(kernel.groups->Remove(path, kPatience).ok());
}

TEST_CASE(
    "existing parents are kept, parents that crispd made are removed, the default parent last") {
  Kernel kernel;
  const std::string foreign = kernel.root;
  cgroup::Directories directories = kernel.layout().At(foreign);
  directories.v1.push_back(directories.v2);
  for (const std::string& directory : directories.v1) REQUIRE(mkdir(directory.c_str(), 0755) == 0);
  const std::string first = kernel.NewPath(), second = kernel.NewPath();
  REQUIRE(kernel.groups->Create(first, {}).ok());
  REQUIRE(kernel.groups->Create(second, {}).ok());
  CHECK(kernel.groups->Remove(first, kPatience).ok());
  CHECK(kernel.ExistsAnywhere(foreign + "/pods"));
  CHECK(kernel.groups->Remove(second, kPatience).ok());
  CHECK_FALSE(kernel.ExistsAnywhere(foreign + "/pods"));
  for (const std::string& directory : directories.v1) CHECK(rmdir(directory.c_str()) == 0);

  const std::string by_default = absl::StrCat(kernel.root, "/default");
  auto other = cgroup::Cgroups::Open({.default_parent = by_default, .holder_program = {}});
  REQUIRE(other.ok());
  const std::string leaf = *(*other)->Path("", base::NewId());
  CHECK(leaf.rfind(by_default, 0) == 0);
  REQUIRE((*other)->Create(leaf, {}).ok());
  (*other)->RemoveDefaultParent();  // in use
  CHECK(kernel.ExistsAnywhere(leaf));
  CHECK((*other)->Remove(leaf, kPatience).ok());
  CHECK(kernel.ExistsAnywhere(by_default));
  (*other)->RemoveDefaultParent();
  CHECK_FALSE(kernel.ExistsAnywhere(by_default));
}

TEST_CASE("a crispd that stops does not remove the parent of another crispd's new group") {
  Kernel kernel;
  const cgroup::Cgroups::Options options = {.default_parent = kernel.root + "/shared",
                                            .holder_program = {}};
  auto serving = cgroup::Cgroups::Open(options), stopping = cgroup::Cgroups::Open(options);
  REQUIRE((serving.ok() && stopping.ok()));
  std::atomic<bool> done{false};
  std::thread stops([&] {
    while (!done) (*stopping)->RemoveDefaultParent();
  });
  std::vector<std::string> errors;
  for (int i = 0; i < 300; ++i) {
    const std::string leaf = *(*serving)->Path("", base::NewId());
    for (const absl::Status& status :
         {(*serving)->Create(leaf, {}), (*serving)->Remove(leaf, kPatience)}) {
      if (!status.ok()) errors.push_back(Message(status));
    }
  }
  done = true;
  stops.join();
  (*stopping)->RemoveDefaultParent();
  CHECK(errors == std::vector<std::string>());
  CHECK_FALSE(kernel.ExistsAnywhere(options.default_parent));
}

TEST_CASE("waiting for an empty group ends when another thread removes the group") {
  Kernel kernel;
  for (int i = 0; i < 50; ++i) {
    const std::string path = kernel.NewPath();
    REQUIRE(kernel.groups->Create(path, {}).ok());
    const auto join = cgroup::OpenJoin(kernel.layout().At(path));
    REQUIRE(join.ok());
    const pid_t child = Start(*join, join->v2.get(), [] { return pause(); });
    const absl::Time begin = absl::Now();
    std::thread waiter([&] { CHECK(kernel.groups->WaitEmpty(path, kPatience).ok()); });
    REQUIRE(kernel.groups->Kill(path).ok());
    (void)Wait(child);
    CHECK(kernel.groups->Remove(path, kPatience).ok());
    waiter.join();
    CHECK(absl::Now() - begin < kPatience / 2);
  }
}

TEST_CASE("the path of a leaf is below its parent, and unsafe parents are refused") {
  Kernel kernel;
  const auto path = [&](const char* parent) { return kernel.groups->Path(parent, "c"); };
  CHECK(*path("") == "/crisp/c");
  CHECK(*path("/") == "/c");
  CHECK(*path("a/b") == "/a/b/c");
  CHECK(*path("/a/b/") == "/a/b/c");
  CHECK(*path("/system.slice/x") == "/system.slice/x/c");
  for (const char* bad : {"../a", "/a/../..", "kubepods-pod1.slice", "a//b", "a\nb"}) {
    INFO(bad);
    CHECK(absl::IsInvalidArgument(path(bad).status()));
  }
}

TEST_CASE("a fork bomb stops at its limit and is killed completely") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.pids_limit = 40;
  REQUIRE(kernel.groups->Create(path, resources).ok());
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  REQUIRE(join.ok());
  // A broken limit must not take the machine down: the processes of the bomb share a budget of
  // forks, and each has an alarm.
  constexpr int kBudget = 400;
  void* shared = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto* const forks = new (shared) std::atomic<int>(0);
  const Pipe full;
  Start(*join, join->v2.get(), [&] {
    while (forks->fetch_add(1) < kBudget) {
      const pid_t child = fork();
      if (child == 0) alarm(kChildSeconds);  // not inherited
      if (child < 0) full.Tell();
    }
    full.Tell();
    while (true) pause();
    return 0;
  });
  REQUIRE(full.Hear());
  const auto stats = kernel.groups->ReadStats(path);
  REQUIRE(stats.ok());
  CHECK(stats->pids.value_or(0) > 30);
  CHECK(stats->pids.value_or(0) <= 40);
  CHECK(stats->pids_limit == 40);
  KillAndRemove(kernel, path);
  munmap(shared, sizeof(std::atomic<int>));
}

TEST_CASE("an out-of-memory kill is counted before the exit is reported") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.memory_limit_bytes = 16 * kMiB;
  resources.memory_swap_limit_bytes = 16 * kMiB;
  REQUIRE(kernel.groups->Create(path, resources).ok());
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  REQUIRE(join.ok());
  CHECK(*cgroup::OomKills(join->oom.get()) == 0);
  const int status = Wait(Start(*join, join->v2.get(), [] {
    void* memory =
        mmap(nullptr, 64 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    memset(memory, 1, 64 * kMiB);
    return 0;
  }));
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  CHECK(*cgroup::OomKills(join->oom.get()) == 1);
  CHECK(kernel.groups->ReadStats(path)->memory.oom_kills == 1);
  CHECK(kernel.groups->Remove(path, kPatience).ok());
}

TEST_CASE("a running process has stats, and its group cannot be removed") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.memory_limit_bytes = 256 * kMiB;
  REQUIRE(kernel.groups->Create(path, resources).ok());
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  REQUIRE(join.ok());
  const Pipe ready;
  const pid_t pid = Start(*join, join->v2.get(), [&] {
    constexpr size_t kSize = 8 * kMiB;
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, kSize);
    ready.Tell();
    while (true) pause();
    return 0;
  });
  REQUIRE(ready.Hear());
  const auto stats = kernel.groups->ReadStats(path);
  REQUIRE(stats.ok());
  CHECK(stats->pids == 1);
  CHECK(stats->cpu.usage_ns.value_or(0) > 100'000);
  CHECK(stats->cpu.user_ns.has_value());
  CHECK(stats->cpu.periods.has_value());
  CHECK(stats->memory.usage_bytes.value_or(0) >= 8 * kMiB);
  CHECK(stats->memory.usage_bytes.value_or(0) < 64 * kMiB);
  CHECK(stats->memory.limit_bytes == 256 * kMiB);
  CHECK(stats->memory.page_faults.value_or(0) > 0);
  CHECK(stats->memory.kernel_bytes.has_value());
  CHECK(*stats->memory.working_set_bytes <= *stats->memory.usage_bytes);
  CHECK(*stats->memory.available_bytes ==
        *stats->memory.limit_bytes - *stats->memory.working_set_bytes);

  CHECK(absl::IsDeadlineExceeded(kernel.groups->Remove(path, absl::Milliseconds(20))));
  CHECK(kill(pid, 0) == 0);
  CHECK(kernel.groups->ReadStats(path)->pids == 1);  // still there, not moved to the parent
  KillAndRemove(kernel, path);
  CHECK(absl::IsNotFound(kernel.groups->ReadStats(path).status()));
}

TEST_CASE("all processes of an exec are killed and the container keeps running") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  REQUIRE(kernel.groups->Create(path, {}).ok());
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  REQUIRE(join.ok());
  const auto sleep_forever = [] {
    while (true) pause();
    return 0;
  };
  const pid_t init = Start(*join, join->v2.get(), sleep_forever);
  const auto exec = cgroup::MakeExecGroup(join->v2.get(), 7);
  REQUIRE(exec.ok());
  const auto events = cgroup::OpenEvents(exec->get());
  REQUIRE(events.ok());
  CHECK_FALSE(*cgroup::Populated(events->get()));
  const Pipe detached;
  const pid_t probe = Start(*join, exec->get(), [&] {
    if (fork() == 0) {  // like a daemon: its own session, and its parent exits
      alarm(kChildSeconds);
      setsid();
      detached.Tell();
      return sleep_forever();
    }
    return 0;
  });
  REQUIRE(detached.Hear());
  CHECK(Wait(probe) == 0);
  CHECK(*cgroup::Populated(events->get()));
  const auto remove = [&] {
    return cgroup::RemoveExecGroup(join->v2.get(), 7, base::Deadline::In(kPatience));
  };
  CHECK(absl::IsFailedPrecondition(remove()));
  CHECK(cgroup::KillGroup(exec->get()).ok());
  while (*cgroup::Populated(events->get())) {
    pollfd poll_fd = {events->get(), POLLPRI, 0};
    REQUIRE(poll(&poll_fd, 1, 20'000) == 1);
  }
  CHECK(remove().ok());
  CHECK(remove().ok());  // gone already
  CHECK(waitpid(init, nullptr, WNOHANG) == 0);
  // One that is not removed: removing the container's group removes it too.
  REQUIRE(cgroup::MakeExecGroup(join->v2.get(), 8).ok());
  KillAndRemove(kernel, path);
}

TEST_CASE("values of unified are written to the kernel's files on v2") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  Resources resources;
  resources.unified = {{"memory.high", "33554432"}, {"memory.oom.group", "1"}};
  const absl::Status created = kernel.groups->Create(path, resources);
  if (!kernel.layout().v2_only()) {
    CHECK(absl::IsInvalidArgument(created));
    return;
  }
  REQUIRE(created.ok());
  CHECK(kernel.Read(path, "memory", "memory.high") == "33554432");
  CHECK(kernel.Read(path, "memory", "memory.oom.group") == "1");
  resources.unified = {{"memory.no_such_file", "1"}};
  CHECK(absl::IsInvalidArgument(kernel.groups->Update(path, resources)));
  resources.unified = {{"cpuset.cpus", "0"}, {"pids.max", "many"}};
  CHECK(absl::IsInvalidArgument(kernel.groups->Update(path, resources)));
  CHECK(kernel.Read(path, "cpuset", "cpuset.cpus") == "");  // restored
  CHECK(kernel.groups->Remove(path, kPatience).ok());
}

TEST_CASE("groups made and removed in parallel do not lose their parent") {
  Kernel kernel;
  std::vector<std::thread> threads;
  std::vector<absl::Status> results(4);
  for (absl::Status& result : results) {
    threads.emplace_back([&kernel, &result] {
      for (int i = 0; i < 15 && result.ok(); ++i) {
        const std::string path = kernel.NewPath();
        result = kernel.groups->Create(path, {});
        if (result.ok()) result = kernel.groups->Remove(path, kPatience);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) CHECK(result == absl::OkStatus());
}

TEST_CASE("a process has not entered the group with the CPU quota while another can refuse it") {
  Kernel kernel;
  const cgroup::Hierarchy* const cpu = kernel.layout().Find("cpu");
  const cgroup::Hierarchy* const cpuset = kernel.layout().Find("cpuset");
  if (cpuset == nullptr || cpuset == cpu || cpuset == &kernel.layout().v2) {
    printf("skipped: the order of cgroups: cpu and cpuset are not two hierarchies of v1\n");
    return;
  }
  const std::string path = kernel.NewPath();
  REQUIRE(kernel.groups->Create(path, {}).ok());
  // One without CPUs takes no process.
  REQUIRE(base::WriteExisting(absl::StrCat(cpuset->mount_point, path, "/cpuset.cpus"), "\n").ok());
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  REQUIRE(join.ok());
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = !cgroup::JoinSelf(join->tasks).ok();
    const bool outside = kernel.Read(path, "cpu", "tasks").empty();
    _exit((refused ? 1 : 0) + (outside ? 2 : 0));
  }
  REQUIRE(child > 0);
  const int status = Wait(child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 3);
  CHECK(kernel.groups->Remove(path, kPatience).ok());
}

TEST_CASE("joining a group that does not exist is an error naming the file") {
  Kernel kernel;
  const std::string path = kernel.NewPath();
  const auto join = cgroup::OpenJoin(kernel.layout().At(path));
  CHECK(absl::IsNotFound(join.status()));
  CHECK(Message(join.status()).find(path) != std::string::npos);
}
