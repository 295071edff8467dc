// crispd and shims on disks that are full, out of inodes, read-only, emptied, damaged or that hang:
// crispd starts, serves what exists, and no exit code is lost.
#include <ftw.h>
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "integration/disk.h"
#include "integration/pod.h"
#include "linux/process_ref.h"
#include "unit/eventually.h"
#include "unit/hung_directory.h"

using namespace crisp;
using namespace crisp::test;

namespace {

struct Fixture {
  Disk root_disk;
  Disk state_disk;
  Daemon daemon{{"--root", root_disk.path() + "/root", "--state", state_disk.path() + "/state"}};

  void Fill() {
    root_disk.Fill();
    state_disk.Fill();
  }
  void Free() {
    root_disk.Free();
    state_disk.Free();
  }
  // So that the daemon can remove its pods.
  ~Fixture() {
    root_disk.SetReadOnly(false);
    Free();
  }
  void Restart() {
    daemon.Kill9();
    daemon.Start();
  }

  // A container that exits with `code` as soon as Open() is called.
  std::string RunGated(Pod& pod, int code) {
    const std::string gate = daemon.dir() + "/gate";
    REQUIRE(base::MakeDirs(gate, 0755).ok());
    return pod.Run(
        {"sh", "-c", absl::StrCat("while [ ! -e /gate/open ]; do sleep 0.02; done; exit ", code)},
        [&](v1::ContainerConfig& config) {
          v1::Mount* mount = config.add_mounts();
          mount->set_host_path(gate);
          mount->set_container_path("/gate");
        });
  }
  void Open() { REQUIRE(base::WriteFileAtomic(daemon.dir() + "/gate/open", "", 0644).ok()); }

  grpc::Status TryPod() {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = PodConfig(daemon);
    v1::RunPodSandboxResponse response;
    return daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, request,
                      &response);
  }
  bool RuntimeReady() {
    const v1::StatusResponse status =
        daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::Status, v1::StatusRequest());
    return status.status().conditions(0).type() == "RuntimeReady" &&
           status.status().conditions(0).status();
  }
  std::string Bundle(const std::string& container) const {
    return daemon.state() + "/containers/" + container;
  }
};

bool IsAlive(int pid) { return linux::ProcessRef::Of(pid).ok(); }

// Overwrites every file below `directory`, except what is in layers and containers.
void Damage(const std::string& directory) {
  const auto damage = [](const char* path, const struct stat* info, int, struct FTW*) {
    if (!S_ISREG(info->st_mode) || absl::StrContains(path, "/fs/")) return 0;
    return base::WriteFileAtomic(path, "{\"damaged", 0600).ok() ? 0 : 1;
  };
  REQUIRE(nftw(directory.c_str(), damage, 64, FTW_PHYS) == 0);
}

}  // namespace

TEST_CASE("on full disks crispd starts, lists, stops and removes; a new pod says what is missing") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  {
    Pod pod(daemon);
    const std::string container = pod.Run({"sleep", "1000"});
    const int pid = pod.HostPid(container);
    daemon.Kill9();
    fix.Fill();
    daemon.Start();
    CHECK(fix.RuntimeReady());
    CHECK(pod.Status().state() == v1::SANDBOX_READY);
    CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
    CHECK(pod.HostPid(container) == pid);
    CHECK(pod.Exec(container, {"echo", "alive"}).out == "alive\n");
    CHECK(daemon.Call(daemon.images(), &v1::ImageService::Stub::ListImages, {}).images_size() == 1);
    const grpc::Status refused = fix.TryPod();
    CHECK(refused.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
    CHECK(absl::StrContains(refused.error_message(), "ENOSPC"));
    pod.StopContainer(container, 0);
    CHECK(pod.ContainerStatus(container).exit_code() == 137);
    pod.RemoveContainer(container);
    pod.Remove();
    v1::RemoveImageRequest image;
    image.mutable_image()->set_image(kBusybox);
    daemon.Call(daemon.images(), &v1::ImageService::Stub::RemoveImage, image);
    CHECK(
        daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListPodSandbox, {}).items_size() ==
        0);
  }
  fix.Free();
  Pod pod(daemon);  // without another restart
  CHECK(pod.Exec(pod.Run({"sleep", "1000"}), {"echo", "again"}).out == "again\n");
}

TEST_CASE("pause is not written again at a start, and is when it is damaged") {
  Fixture fix;
  const std::string path = fix.daemon.root() + "/pause/pause";
  struct stat before, after;
  REQUIRE(stat(path.c_str(), &before) == 0);
  fix.Restart();
  REQUIRE(stat(path.c_str(), &after) == 0);
  CHECK(after.st_ino == before.st_ino);
  fix.daemon.Kill9();
  REQUIRE(base::WriteFileAtomic(path, "damaged", 0755).ok());
  fix.Fill();
  fix.daemon.Start();
  CHECK(fix.RuntimeReady());
  const grpc::Status refused = fix.TryPod();
  CHECK(refused.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  fix.Free();
  Pod pod(fix.daemon);
  CHECK(pod.Status().state() == v1::SANDBOX_READY);
}

TEST_CASE("with a read-only root crispd starts, lists and stops; the exit is not lost") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  Pod pod(daemon);
  const std::string container = fix.RunGated(pod, 3);
  daemon.Kill9();
  fix.root_disk.SetReadOnly(true);
  daemon.Start();
  CHECK(fix.RuntimeReady());
  CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
  CHECK_FALSE(fix.TryPod().ok());
  fix.Open();
  CHECK(pod.WaitExited(container).exit_code() == 3);
  fix.Restart();
  CHECK(pod.ContainerStatus(container).exit_code() == 3);
  daemon.Kill9();
  fix.root_disk.SetReadOnly(false);
  daemon.Start();
  CHECK(pod.ContainerStatus(container).exit_code() == 3);
}

TEST_CASE("without its state directory crispd starts, and what ran is reported as ended") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  const int pid = pod.HostPid(container);
  daemon.Kill9();
  REQUIRE(base::RemoveTree(daemon.state()).ok());
  daemon.Start();
  CHECK(pod.ContainerStatus(container).state() == v1::CONTAINER_EXITED);
  CHECK(pod.Status().state() == v1::SANDBOX_NOTREADY);
  CHECK(Eventually([&] { return !IsAlive(pid); }));
}

TEST_CASE("with every file damaged crispd starts, and new pods run") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  std::vector<int> pids;
  {
    Pod pod(daemon);
    const std::string container = pod.Run({"sleep", "1000"});
    pids = {pod.HostPid(container), pod.HostPid(pod.id())};
    daemon.Kill9();
    for (const std::string& directory : {daemon.root(), daemon.state()}) Damage(directory);
    daemon.Start();
    CHECK(fix.RuntimeReady());
  }
  Pod pod(daemon);
  CHECK(pod.Exec(pod.Run({"sleep", "1000"}), {"echo", "new"}).out == "new\n");
  CHECK(Eventually([&] { return !IsAlive(pids[0]) && !IsAlive(pids[1]); }));
}

TEST_CASE("a damaged sandbox record does not stop a start on a full disk, and its pod is freed") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  int pause = 0;
  {
    Pod pod(daemon);
    pause = pod.HostPid(pod.id());
    daemon.Kill9();
    REQUIRE(
        base::WriteFileAtomic(daemon.root() + "/sandboxes/" + pod.id() + "/record.json", "{", 0600)
            .ok());
    fix.Fill();
    daemon.Start();
    CHECK(Eventually(
        [&] { return !IsAlive(pause) && access(fix.Bundle(pod.id()).c_str(), F_OK) != 0; }));
  }
}

TEST_CASE("stopped shims delay a start once, not each of them") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  Pod pod(daemon);
  std::vector<std::string> containers;
  std::vector<int> shims;
  for (int i = 0; i < 12; ++i) {
    containers.push_back(pod.Run({"sleep", "1000"}));
    shims.push_back(ShimOf(pod.HostPid(containers.back())));
  }
  daemon.Kill9();
  for (const int shim : shims) REQUIRE(kill(shim, SIGSTOP) == 0);
  // As if their starts were not over: crispd gives these time.
  for (int i = 0; i < 6; ++i)
    REQUIRE(unlink((fix.Bundle(containers[i]) + "/init.json").c_str()) == 0);
  const int64_t begin = base::MonotonicNanos();
  daemon.Start();
  CHECK(base::MonotonicNanos() - begin < int64_t{6} * 1'000'000'000);
  for (int i = 6; i < 12; ++i)
    CHECK(pod.ContainerStatus(containers[i]).state() == v1::CONTAINER_RUNNING);
  for (const int shim : shims) kill(shim, SIGCONT);
  CHECK(pod.Exec(containers[11], {"echo", "on"}).out == "on\n");
}

TEST_CASE("a start needs no more descriptors the more containers run") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  Pod pod(daemon);
  std::vector<std::string> containers;
  for (int i = 0; i < 120; ++i) containers.push_back(pod.Run({"sleep", "1000"}));
  daemon.Kill9();
  // Watching them all takes two for each.
  CHECK(daemon.ServesWith(256));
  daemon.Start();
  for (const std::string& container : containers)
    REQUIRE(pod.ContainerStatus(container).state() == v1::CONTAINER_RUNNING);
}

TEST_CASE("exit codes survive full disks, whether crispd runs or not") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  Pod pod(daemon);
  const bool down = GENERATE(false, true);
  const std::string zero = fix.RunGated(pod, 0);
  const std::string three = fix.RunGated(pod, 3);
  const std::vector<int> shims = {ShimOf(pod.HostPid(zero)), ShimOf(pod.HostPid(three))};
  if (down) daemon.Kill9();
  fix.Fill();
  fix.Open();
  CHECK(Eventually([&] { return !IsAlive(shims[0]) && !IsAlive(shims[1]); }));
  if (down) daemon.Start();
  for (int restarts = 0; restarts < 2; ++restarts) {
    CHECK(pod.WaitExited(zero).exit_code() == 0);
    CHECK(pod.WaitExited(zero).reason() == "Completed");
    CHECK(pod.WaitExited(three).exit_code() == 3);
    CHECK(pod.WaitExited(three).reason() == "Error");
    fix.Restart();
  }
}

TEST_CASE("an exit code that the shim cannot write is told to crispd, and not lost with it") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  Pod pod(daemon);
  const std::string container = fix.RunGated(pod, 3);
  // Nothing can be renamed to this name.
  REQUIRE(base::MakeDirs(fix.Bundle(container) + "/exit.json/in-the-way", 0700).ok());
  fix.Open();
  CHECK(pod.WaitExited(container).exit_code() == 3);
  CHECK(pod.WaitExited(container).reason() == "Error");
  fix.Restart();
  CHECK(pod.ContainerStatus(container).exit_code() == 3);
}

TEST_CASE("an end that cannot be written down is written as soon as there is space") {
  Fixture fix;
  Daemon& daemon = fix.daemon;
  Pod pod(daemon);
  const std::string container = fix.RunGated(pod, 3);
  const std::string removed = fix.RunGated(pod, 4);
  fix.root_disk.Fill();
  fix.Open();
  CHECK(pod.WaitExited(container).exit_code() == 3);
  CHECK(pod.WaitExited(removed).exit_code() == 4);
  pod.RemoveContainer(removed);
  const std::string records = daemon.root() + "/containers/";
  const auto text = [&] { return base::ReadFile(records + container + "/record.json").value(); };
  CHECK_FALSE(absl::StrContains(text(), "finished_at_ns"));
  fix.Free();
  CHECK(Eventually([&] { return absl::StrContains(text(), "finished_at_ns"); }));
  daemon.Kill9();
  REQUIRE(base::RemoveTree(fix.Bundle(container) + "/exit.json").ok());
  daemon.Start();
  CHECK(pod.ContainerStatus(container).exit_code() == 3);
  // What is written later must not bring a removed container back.
  CHECK(access((records + removed).c_str(), F_OK) != 0);
}

TEST_CASE("a disk that hangs holds up no exit, of this or another container, and none is lost") {
  Daemon daemon;
  Pod pod(daemon);
  std::map<std::string, int> codes;
  const auto run = [&](int code) {
    const std::string container = pod.Run(
        {"sh", "-c", absl::StrCat("trap 'exit ", code, "' TERM; echo set; sleep 1000 & wait")});
    pod.AwaitLog(container, "set");
    codes[container] = code;
    return container;
  };
  const std::string hangs = run(3), other = run(4);
  const int pids[] = {pod.HostPid(hangs), pod.HostPid(other)};
  std::map<std::string, int64_t> ends;
  {
    const HungDirectory hung(daemon.root() + "/containers/" + hangs);
    REQUIRE(kill(pids[0], SIGTERM) == 0);
    REQUIRE(hung.AwaitSomebody());
    REQUIRE(kill(pids[1], SIGTERM) == 0);
    for (const auto& [container, code] : codes) {
      const v1::ContainerStatus status = pod.WaitExited(container);
      CHECK(status.exit_code() == code);
      ends[container] = status.finished_at();
    }
    daemon.Kill9();
  }
  daemon.Start();
  for (const auto& [container, code] : codes) {
    CHECK(pod.ContainerStatus(container).exit_code() == code);
    CHECK(pod.ContainerStatus(container).finished_at() == ends[container]);
  }
}

TEST_CASE("a damaged layer stays while a container runs on it, counts, and is deleted then") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"});
  const std::string snapshots = daemon.root() + "/snapshots/";
  const auto used = [&] {
    return daemon.Call(daemon.images(), &v1::ImageService::Stub::ImageFsInfo, {})
        .image_filesystems(0)
        .used_bytes()
        .value();
  };
  const uint64_t before = used();
  daemon.Kill9();
  const std::vector<std::string> layers = base::ListDir(snapshots + "layers").value();
  for (const std::string& layer : layers)
    REQUIRE(base::WriteFileAtomic(snapshots + "layers/" + layer + "/record.json", "{", 0600).ok());
  daemon.Start();
  CHECK(daemon.Call(daemon.images(), &v1::ImageService::Stub::ListImages, {}).images_size() == 0);
  CHECK(Eventually([&] { return used() >= before; }));
  CHECK(pod.Exec(container, {"ls", "/bin/busybox"}).out == "/bin/busybox\n");
  CHECK(base::ListDir(snapshots + "quarantine").value().size() > 0);
  pod.StopContainer(container, 0);
  const auto left = [&] { return base::ListDir(snapshots + "quarantine").value(); };
  CHECK(Eventually([&] { return left() == std::vector<std::string>{"records"}; }));
  CHECK(used() == 0);
}
