// Containers start as fast as ever beside many mounts, wherever these are, and do not add to the
// host's mounts themselves.
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "async_calls.h"
#include "base/file.h"
#include "fakes/evil_registry.h"
#include "fakes/tar_builder.h"
#include "fault/amount.h"
#include "fault/times.h"
#include "image_fixture.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Runtime = v1::RuntimeService::Stub;

namespace {

constexpr int kStarts = 21;

void SharePids(v1::PodSandboxConfig& config) {
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::POD);
}

// Of a container in the pod's PID namespace.
Times Starts(Pod& pod) {
  Times times;
  for (int i = 0; i < kStarts; ++i) {
    const std::string container =
        pod.Create(pod.ContainerConfig({"sleep", "1000"}, [](v1::ContainerConfig& config) {
          config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
              v1::POD);
        }));
    times.Take([&] { pod.Start(container); });
    pod.RemoveContainer(container);
  }
  return times;
}

// Compares the median with those before and after, because the machine may have other work.
void CheckFlat(const char* what, Times before, Times beside, Times after) {
  const double quiet = Milliseconds(std::max(before.Quantile(0.5), after.Quantile(0.5)));
  const double busy = Milliseconds(beside.Quantile(0.5));
  printf("a start beside %s: %.1f ms, without: %.1f ms\n", what, busy, quiet);
  INFO(what);
  CHECK(busy <= 2 * quiet + 10);
}

int HostMounts() {
  const std::string lines = base::ReadFile("/proc/self/mountinfo").value();
  return static_cast<int>(std::count(lines.begin(), lines.end(), '\n'));
}

// Mounts of the host, in a directory of their own. All go with the first of them.
class HostDirectory {
 public:
  HostDirectory() {
    REQUIRE(mkdtemp(path_) != nullptr);
    REQUIRE(mount("crisp-test", path_, "tmpfs", 0, "size=1m") == 0);
  }
  ~HostDirectory() {
    umount2(path_, MNT_DETACH);
    rmdir(path_);
  }
  HostDirectory(const HostDirectory&) = delete;

  void AddMounts(int count) {
    // A shared mount would be mounted again in each of its copies.
    REQUIRE(mount(nullptr, path_, nullptr, MS_PRIVATE, nullptr) == 0);
    for (int i = 0; i < count; ++i) {
      const std::string each = absl::StrCat(path_, "/", i);
      REQUIRE(mkdir(each.c_str(), 0700) == 0);
      REQUIRE(mount(path_, each.c_str(), nullptr, MS_BIND, nullptr) == 0);
    }
  }

 private:
  char path_[64] = "/var/lib/crisp-test-mounts-XXXXXX";
};

// An image whose first layer has a program that waits, and the other layers a file each.
image::TestImage LayeredImage(size_t layers) {
  snapshot::TarItem program;
  program.name = "wait";
  program.mode = 0755;
  program.body =
      base::ReadFile(absl::StrCat(getenv("CRISP_TEST_BIN_DIR"), "/pause"), 1 << 20).value();
  std::vector<std::string> blobs = {snapshot::TarBuilder().Add(program).Done()};
  while (blobs.size() < layers) {
    const std::string name = absl::StrCat("layers/", blobs.size());
    blobs.push_back(snapshot::TarBuilder().Dir("layers").File(name, name).Done());
  }
  return image::MakeImage(blobs);
}

// Lists, from its constructor to Stop(), and looks at the host's mounts meanwhile.
class Watcher {
 public:
  explicit Watcher(Daemon& daemon) : thread_([this, &daemon] { Watch(daemon); }) {}
  ~Watcher() { Stop(); }
  void Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // After Stop().
  Times lists;
  int most_mounts = 0;
  int failures = 0;

 private:
  void Watch(Daemon& daemon) {
    while (!stopping_) {
      v1::ListPodSandboxResponse pods;
      v1::ListContainersResponse containers;
      lists.Take([&] {
        failures += !daemon.Try(daemon.runtime(), &Runtime::ListPodSandbox, {}, &pods).ok();
      });
      lists.Take([&] {
        failures += !daemon.Try(daemon.runtime(), &Runtime::ListContainers, {}, &containers).ok();
      });
      most_mounts = std::max(most_mounts, HostMounts());
    }
  }
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a start takes no longer in a pod whose PID namespace has hundreds of mounts") {
  Daemon daemon;
  Pod pod(daemon, SharePids);
  Times before = Starts(pod);
  const std::string mounting = pod.Run(
      {"sh", "-c",
       "mkdir /m; for i in $(seq 500); do mkdir /m/$i; mount -t tmpfs m /m/$i || exit 1; done; "
       "echo ready; sleep 100000"},
      [](v1::ContainerConfig& config) {
        auto& context = *config.mutable_linux()->mutable_security_context();
        context.mutable_capabilities()->add_add_capabilities("SYS_ADMIN");
        context.mutable_apparmor()->set_profile_type(v1::SecurityProfile::Unconfined);
        context.mutable_namespace_options()->set_pid(v1::POD);
      });
  pod.AwaitLog(mounting, "ready");
  const Times beside = Starts(pod);
  pod.RemoveContainer(mounting);
  CheckFlat("500 mounts of the pod", before, beside, Starts(pod));
}

TEST_CASE("a start takes no longer on a host with thousands of mounts") {
  Daemon daemon;
  Pod pod(daemon, SharePids);
  Times before = Starts(pod);
  Times beside;
  {
    HostDirectory directory;
    directory.AddMounts(Amount(1000, 3000));
    beside = Starts(pod);
  }
  CheckFlat("thousands of mounts of the host", before, beside, Starts(pod));
}

TEST_CASE("a start takes no longer beside hundreds of overlays") {
  Daemon daemon;
  Pod pod(daemon, SharePids), other(daemon);
  Times before = Starts(pod);
  for (int i = 0; i < Amount(100, 300); ++i) other.Run({"sleep", "100000"});
  const Times beside = Starts(pod);
  other.Remove();
  CheckFlat("hundreds of overlays", before, beside, Starts(pod));
}

TEST_CASE("100 containers of 50 layers in user namespaces start at once: mounts, lists") {
  constexpr int kPods = 10;
  const int containers = Amount(40, 100);
  Daemon daemon;
  image::EvilRegistry registry;
  Serve(registry, LayeredImage(50));
  const std::string name = registry.host() + "/repo:v1";
  std::vector<std::unique_ptr<Pod>> pods;
  for (int i = 0; i < kPods; ++i) pods.push_back(std::make_unique<Pod>(daemon, OwnUsers));
  std::vector<std::string> created;
  for (int i = 0; i < containers; ++i) {
    Pod& pod = *pods[static_cast<size_t>(i % kPods)];
    created.push_back(pod.Create(pod.ContainerConfig(
        {"/wait"}, [&](v1::ContainerConfig& config) { config.mutable_image()->set_image(name); })));
  }
  const int before = HostMounts();
  Watcher watcher(daemon);
  AsyncCalls<v1::StartContainerResponse> starts;
  for (const std::string& container : created) {
    v1::StartContainerRequest request;
    request.set_container_id(container);
    starts.Begin(daemon.runtime(), &Runtime::AsyncStartContainer, request);
  }
  CHECK(starts.Finish() == containers);
  watcher.Stop();
  printf(
      "%d containers of 50 layers: %d mounts of the host more; %zu lists: p90 %.1f ms, p99 %.1f "
      "ms, most %.1f ms\n",
      containers, watcher.most_mounts - before, watcher.lists.count(),
      Milliseconds(watcher.lists.Quantile(0.9)), Milliseconds(watcher.lists.Quantile(0.99)),
      Milliseconds(watcher.lists.Quantile(1)));
  CHECK(watcher.failures == 0);
  CHECK(watcher.most_mounts - before <= containers);
  CHECK(HostMounts() == before);  // once they run they have none
  // gRPC hands out calls one after the other: the first list waits behind all of the starts.
  CHECK(Milliseconds(watcher.lists.Quantile(0.9)) <= 50);
}
