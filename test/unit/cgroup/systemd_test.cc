// The systemd driver with a real systemd. Where PID 1 is another program, only that it is refused.
#include "cgroup/systemd.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/deadline.h"
#include "base/file.h"
#include "base/id.h"
#include "cgroup/cgroups.h"
#include "linux/spawn.h"

using namespace crisp;

namespace {

// A program that exits at SIGTERM, like pause.
cgroup::Cgroups::Options Options() {
  return {.driver = cgroup::Driver::kSystemd,
          .default_parent = "/crisp",
          .holder_program = absl::StrCat(getenv("CRISP_TEST_BIN_DIR"), "/pause")};
}

base::Deadline Soon() { return base::Deadline::In(absl::Seconds(60)); }

std::string Systemctl(const std::vector<std::string>& words) {
  std::vector<std::string> args = {"systemctl"};
  args.insert(args.end(), words.begin(), words.end());
  const auto result =
      linux::Run({.path = "/usr/bin/systemctl", .args = args, .env = {}}, "", {.deadline = Soon()});
  REQUIRE(result.ok());
  return std::string(absl::StripSuffix(result->out, "\n"));
}

bool Exists(const cgroup::Cgroups& groups, const std::string& path) {
  return access(groups.layout().At(path).v2.c_str(), F_OK) == 0;
}

std::string Read(const cgroup::Cgroups& groups, const std::string& path, const std::string& file) {
  const auto text = base::ReadFile(absl::StrCat(groups.layout().At(path).v2, "/", file));
  return text.ok() ? std::string(absl::StripSuffix(*text, "\n")) : "<missing>";
}

std::string ScopeUnit(const std::string& sandbox_id) {
  return absl::StrCat("crisp-pod-", sandbox_id.substr(0, 32), ".scope");
}

// systemd stops a slice some time after its last scope has ended.
bool GoesAway(const cgroup::Cgroups& groups, const std::string& path) {
  const absl::Time give_up = absl::Now() + absl::Seconds(20);
  while (Exists(groups, path) && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(20));
  return !Exists(groups, path);
}

std::unique_ptr<cgroup::Cgroups> Open(const char* test) {
  if (!cgroup::SystemdVersion().ok()) {
    printf("skipped: %s: systemd is not PID 1\n", test);
    return nullptr;
  }
  auto opened = cgroup::Cgroups::Open(Options());
  INFO(opened.status());
  REQUIRE(opened.ok());
  return std::move(*opened);
}

}  // namespace

TEST_CASE("the systemd driver is refused where systemd is not PID 1") {
  if (cgroup::SystemdVersion().ok()) return;
  const absl::Status refused = cgroup::Cgroups::Open(Options()).status();
  CHECK(absl::IsFailedPrecondition(refused));
  CHECK(std::string(refused.message()) ==
        "cgroup driver systemd: systemd is not PID 1 of this machine");
}

TEST_CASE(
    "a pod's scope is delegated, its limits survive a daemon-reload, its slices end with it") {
  const auto groups = Open("a pod's scope");
  if (groups == nullptr) return;
  const std::string id = base::NewId();
  const std::string top = absl::StrCat("crisptest", getpid());
  const std::string slice = absl::StrCat(top, "-pods.slice");
  const auto parent = groups->PodParent(slice, id);
  REQUIRE(parent.ok());
  const std::string unit = ScopeUnit(id);
  const std::string slice_path = absl::StrCat("/", top, ".slice/", slice);
  CHECK(*parent == absl::StrCat(slice_path, "/", unit));
  const absl::Status created = groups->CreatePod(*parent, id, Soon());
  INFO(created);
  REQUIRE(created.ok());
  CHECK(Systemctl({"show", "--value", "-p", "Slice", unit}) == slice);
  CHECK(Systemctl({"show", "--value", "-p", "Delegate", unit}) == "yes");
  // systemd knows nothing of the containers, which are beside it.
  CHECK(Systemctl({"show", "--value", "-p", "Description", unit}) == "pause of a crisp pod");
  CHECK(Read(*groups, *parent, "pids.max") == "max");

  const std::string container = base::NewId();
  const auto leaf = groups->Path(*parent, container);
  REQUIRE(leaf.ok());
  CHECK(*leaf == absl::StrCat(slice_path, "/cri-containerd-", container, ".scope"));
  cgroup::Resources limits;
  limits.cpu_shares = 512;
  limits.cpu_quota_us = 20000;
  limits.memory_limit_bytes = 64 << 20;
  limits.pids_limit = 77;
  limits.cpuset_cpus = "0";
  limits.devices = {{false, 'a', {}, {}, "rwm"}};
  const absl::Status limited = groups->Create(*leaf, limits);
  INFO(limited);
  REQUIRE(limited.ok());
  Systemctl({"daemon-reload"});
  // Makes systemd write down anew what it has for the slice.
  Systemctl({"set-property", "--runtime", slice, "CPUWeight=50"});
  CHECK(Read(*groups, slice_path, "cpu.weight") == "50");
  CHECK(*groups->Find(container) == *leaf);
  CHECK(Read(*groups, *leaf, "cpu.weight") == "59");
  CHECK(Read(*groups, *leaf, "cpu.max") == "20000 100000");
  CHECK(Read(*groups, *leaf, "memory.max") == "67108864");
  CHECK(Read(*groups, *leaf, "pids.max") == "77");
  CHECK(Read(*groups, *leaf, "cpuset.cpus") == "0");
  limits = {};
  limits.memory_limit_bytes = 32 << 20;
  CHECK(groups->Update(*leaf, limits).ok());
  Systemctl({"daemon-reload"});
  CHECK(Read(*groups, *leaf, "memory.max") == "33554432");

  CHECK(groups->Remove(*leaf, absl::Seconds(10)).ok());
  // The scope stays without containers until the pod is removed.
  CHECK(Systemctl({"is-active", unit}) == "active");
  const absl::Status removed = groups->RemovePod(*parent, id, Soon());
  INFO(removed);
  CHECK(removed.ok());
  CHECK_FALSE(Exists(*groups, *parent));
  CHECK(groups->RemovePod(*parent, id, Soon()).ok());
  CHECK(GoesAway(*groups, absl::StrCat("/", top, ".slice")));
}

TEST_CASE("an existing slice stays, and nothing can be made in a scope or slice that has ended") {
  const auto groups = Open("a slice that was there");
  if (groups == nullptr) return;
  const std::string slice = absl::StrCat("crispkept", getpid(), ".slice");
  Systemctl({"start", slice});
  const std::string id = base::NewId();
  const std::string parent = *groups->PodParent(absl::StrCat("/", slice), id);
  REQUIRE(groups->CreatePod(parent, id, Soon()).ok());
  CHECK(absl::IsAlreadyExists(groups->CreatePod(parent, id, Soon())));
  CHECK(Exists(*groups, parent));
  Systemctl({"stop", ScopeUnit(id)});
  CHECK(absl::IsFailedPrecondition(groups->Create(*groups->Path(parent, id), {})));
  CHECK(groups->RemovePod(parent, id, Soon()).ok());
  CHECK(Systemctl({"is-active", slice}) == "active");
  CHECK(Exists(*groups, absl::StrCat("/", slice)));
  Systemctl({"stop", slice});
  CHECK(GoesAway(*groups, absl::StrCat("/", slice)));
  CHECK(absl::IsFailedPrecondition(groups->Create(*groups->Path(parent, base::NewId()), {})));
}

TEST_CASE("many pods at once are made and removed through systemd") {
  const auto groups = Open("many pods through systemd");
  if (groups == nullptr) return;
  const std::string slice = absl::StrCat("crisptest", getpid(), ".slice");
  std::vector<std::thread> threads;
  absl::Mutex mutex;
  absl::Status first;  // the first error of any thread
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        const std::string id = base::NewId();
        const std::string parent = *groups->PodParent(slice, id);
        const std::string leaf = *groups->Path(parent, id);
        absl::Status status = groups->CreatePod(parent, id, Soon());
        if (status.ok()) status = groups->Create(leaf, {});
        if (status.ok()) status = groups->Remove(leaf, absl::Seconds(10));
        status.Update(groups->RemovePod(parent, id, Soon()));
        if (Exists(*groups, parent)) status.Update(absl::InternalError("the scope is left"));
        absl::MutexLock lock(&mutex);
        first.Update(status);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  INFO(first);
  CHECK(first.ok());
  CHECK(GoesAway(*groups, absl::StrCat("/", slice)));
}
