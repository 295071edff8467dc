// Images as volumes, as critest (cri-tools v1.37.0, pkg/validate/image_volume.go) and kubelet use
// them.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

constexpr char kVolume[] = "gcr.io/k8s-staging-cri-tools/test-image-tag:test";

// A container that has the image at /volume.
std::function<void(v1::ContainerConfig&)> WithVolume(const std::string& image,
                                                     const std::string& sub_path = "",
                                                     bool readonly = true) {
  return [=](v1::ContainerConfig& config) {
    v1::Mount* mount = config.add_mounts();
    mount->set_container_path("/volume");
    mount->mutable_image()->set_image(image);
    mount->set_image_sub_path(sub_path);
    mount->set_readonly(readonly);
  };
}

grpc::Status TryCreate(Pod& pod, const std::string& sub_path, bool readonly = true,
                       const std::string& image = kVolume) {
  pod.daemon().Pull(kBusybox);
  std::string container;
  return pod.TryCreate(
      pod.ContainerConfig({"sleep", "1000"}, WithVolume(image, sub_path, readonly)), &container);
}

void RemoveImage(Daemon& daemon, const std::string& image) {
  v1::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  daemon.Call(daemon.images(), &v1::ImageService::Stub::RemoveImage, request);
}

size_t Layers(Daemon& daemon) {
  return base::ListDir(daemon.root() + "/snapshots/layers").value().size();
}

}  // namespace

TEST_CASE("an image is mounted read-only, its programs run, and the status names its id") {
  Pod pod(Daemon::Shared());
  const std::string id = pod.daemon().Pull(kVolume);
  for (const std::string& name : {id, std::string(kVolume)}) {
    const std::string container = pod.Run({"sleep", "1000"}, WithVolume(name));
    CHECK(pod.Exec(container, {"/volume/bin/ls", "/volume/etc/passwd"}).out ==
          "/volume/etc/passwd\n");
    CHECK(pod.Exec(container, {"ls", "/volume"}).out ==
          pod.Exec(container, {"ls", "/volume/"}).out);
    const ExecResult write = pod.Exec(container, {"touch", "/volume/new"});
    CHECK(write.exit_code != 0);
    CHECK(absl::StrContains(write.err, "Read-only file system"));
    const v1::ContainerStatus status = pod.ContainerStatus(container);
    REQUIRE(status.mounts_size() == 1);
    CHECK(status.mounts(0).container_path() == "/volume");
    CHECK(status.mounts(0).host_path().empty());
    CHECK(status.mounts(0).readonly());
    CHECK(status.mounts(0).image().image() == name);
    CHECK(status.mounts(0).image().image_ref() == id);
  }
}

TEST_CASE("a sub-directory of an image is mounted alone") {
  Pod pod(Daemon::Shared());
  pod.daemon().Pull(kVolume);
  const std::string container = pod.Run({"sleep", "1000"}, WithVolume(kVolume, "etc"));
  CHECK(pod.Exec(container, {"ls", "/volume/passwd"}).exit_code == 0);
  CHECK(pod.Exec(container, {"ls", "/volume/etc"}).exit_code != 0);
  CHECK(pod.Exec(container, {"ls", "/volume/bin"}).exit_code != 0);
  CHECK(pod.ContainerStatus(container).mounts(0).image_sub_path() == "etc");
}

TEST_CASE("noexec of an image volume takes effect, and other options than its three are refused") {
  Pod pod(Daemon::Shared());
  pod.daemon().Pull(kVolume);
  const auto with = [](const std::string& option) {
    return [option](v1::ContainerConfig& config) {
      WithVolume(kVolume)(config);
      config.mutable_mounts(0)->add_mount_options(option);
    };
  };
  const std::string container = pod.Run({"sleep", "1000"}, with("noexec"));
  const ExecResult run = pod.Exec(container, {"sh", "-c", "/volume/bin/ls /volume"});
  CHECK(run.exit_code == 126);
  CHECK(absl::StrContains(run.err, "Permission denied"));
  CHECK(pod.Exec(container, {"ls", "/volume/bin/ls"}).exit_code == 0);
  CHECK(pod.ContainerStatus(container).mounts(0).mount_options(0) == "noexec");
  const grpc::Status refused = pod.TryCreate(pod.ContainerConfig({"true"}, with("exec")));
  CHECK(refused.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(absl::StrContains(refused.error_message(), "volumeMounts[0].mountOptions \"exec\""));
}

TEST_CASE("images are mounted below each other, and an image of a single layer works") {
  Pod pod(Daemon::Shared());
  pod.daemon().Pull(kVolume);
  pod.daemon().Pull("registry.k8s.io/pause:3.9");
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    WithVolume(kVolume)(config);
    v1::Mount* below = config.add_mounts();
    below->set_container_path("/volume/etc");
    below->mutable_image()->set_image("registry.k8s.io/pause:3.9");
    below->set_readonly(true);
  });
  CHECK(pod.Exec(container, {"ls", "/volume/etc"}).out == "pause\n");
  CHECK(pod.Exec(container, {"ls", "/volume/bin/ls"}).exit_code == 0);
}

TEST_CASE("bad image volumes are refused when the container is created") {
  Pod pod(Daemon::Shared());
  pod.daemon().Pull(kVolume);
  // a missing directory, a file, and a path that leads out of the image
  for (const char* sub_path : {"no/such/directory", "etc/passwd"}) {
    INFO(sub_path);
    const grpc::Status status = TryCreate(pod, sub_path);
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(absl::StartsWith(status.error_message(), "ImageVolumeMountFailed"));
    CHECK(absl::StrContains(status.error_message(), sub_path));
    CHECK(absl::StrContains(status.error_message(), kVolume));
  }
  CHECK(
      TryCreate(pod, "nosuch").error_message() ==
      absl::StrCat("ImageVolumeMountFailed: subPath \"nosuch\" does not exist in image ", kVolume));
  for (const char* sub_path : {"../etc", "/etc", "a/../../b"}) {
    INFO(sub_path);
    CHECK(TryCreate(pod, sub_path).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  }
  CHECK(TryCreate(pod, "", /*readonly=*/false).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  const grpc::Status missing = TryCreate(pod, "", true, "gcr.io/k8s-staging-cri-tools/missing:1");
  CHECK(missing.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(absl::StartsWith(missing.error_message(), "ImageVolumeMountFailed"));
}

TEST_CASE(
    "a removed image stays readable where it is mounted, and its layers go with the last "
    "container") {
  Daemon daemon;
  daemon.Pull(kBusybox);
  const size_t without = Layers(daemon);
  daemon.Pull(kVolume);
  const size_t with = Layers(daemon);
  REQUIRE(with > without);
  Pod pod(daemon);
  const std::string running = pod.Run({"sleep", "1000"}, WithVolume(kVolume));
  const std::string created =
      pod.Create(pod.ContainerConfig({"sleep", "1000"}, WithVolume(kVolume)));
  RemoveImage(daemon, kVolume);
  CHECK(Layers(daemon) == with);
  daemon.Terminate();
  daemon.Start();
  CHECK(Layers(daemon) == with);
  pod.Start(created);
  for (const std::string& container : {running, created})
    CHECK(pod.Exec(container, {"ls", "/volume/etc/passwd"}).exit_code == 0);
  CHECK_FALSE(pod.ContainerStatus(running).mounts(0).image().image_ref().empty());
  pod.RemoveContainer(running);
  CHECK(Layers(daemon) == with);
  pod.RemoveContainer(created);
  CHECK(Layers(daemon) == without);
}

TEST_CASE("a container that was refused does not keep layers") {
  Daemon daemon;
  daemon.Pull(kBusybox);
  const size_t without = Layers(daemon);
  daemon.Pull(kVolume);
  Pod pod(daemon);
  CHECK_FALSE(TryCreate(pod, "no/such/directory").ok());
  RemoveImage(daemon, kVolume);
  CHECK(Layers(daemon) == without);
}

TEST_CASE("image volumes work in a pod with a user namespace") {
  Daemon& daemon = Daemon::Shared();
  daemon.Pull(kVolume);
  Pod pod(daemon, OwnUsers);
  const std::string container = pod.Run({"sleep", "1000"}, WithVolume(kVolume));
  CHECK(pod.Exec(container, {"stat", "-c", "%u:%g", "/volume/etc/passwd"}).out == "0:0\n");
  CHECK(pod.Exec(container, {"/volume/bin/true"}).exit_code == 0);
}
