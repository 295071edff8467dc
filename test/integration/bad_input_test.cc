// Bad input gives an error with the right code that names the step and the value, leaves nothing
// behind, and the corrected call works.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Code = grpc::StatusCode;

namespace {

void Expect(const grpc::Status& status, Code code, const std::vector<std::string>& words) {
  INFO(status.error_message());
  CHECK(status.error_code() == code);
  for (const std::string& word : words) {
    INFO("wanted in the message: " << word);
    CHECK(status.error_message().find(word) != std::string::npos);
  }
}

int Containers(Pod& pod) {
  v1::ListContainersRequest list;
  list.mutable_filter()->set_pod_sandbox_id(pod.id());
  Endpoint& daemon = pod.daemon();
  return daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListContainers, list)
      .containers_size();
}

grpc::Status TryPull(Endpoint& daemon, const std::string& image) {
  v1::PullImageRequest pull;
  pull.mutable_image()->set_image(image);
  v1::PullImageResponse response;
  return daemon.Try(daemon.images(), &v1::ImageService::Stub::PullImage, pull, &response);
}

// CreateContainer must fail; then the same container with corrected input must run.
void CreateFails(const std::function<void(v1::ContainerConfig&)>& fault, Code code,
                 const std::vector<std::string>& words) {
  Pod pod(Daemon::Shared());
  pod.daemon().Pull(kBusybox);
  Expect(pod.TryCreate(pod.ContainerConfig({"true"}, fault)), code, words);
  CHECK(Containers(pod) == 0);
  CHECK(pod.WaitExited(pod.Run({"true"})).exit_code() == 0);
}

// StartContainer must fail and the status must say so; then a container with corrected input must
// run.
void StartFails(const std::vector<std::string>& command,
                const std::function<void(v1::ContainerConfig&)>& fault, Code code,
                const std::vector<std::string>& words) {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Create(pod.ContainerConfig(command, fault));
  Expect(pod.TryStart(container), code, words);
  const v1::ContainerStatus status = pod.ContainerStatus(container);
  CHECK(status.state() == v1::CONTAINER_EXITED);
  CHECK(status.reason() == "StartError");
  CHECK(status.exit_code() == 128);
  CHECK(status.message().find(words.front()) != std::string::npos);
  pod.RemoveContainer(container);
  CHECK(pod.WaitExited(pod.Run({"true"})).exit_code() == 0);
}

}  // namespace

TEST_CASE("a container of an unknown image is refused") {
  CreateFails(
      [](v1::ContainerConfig& config) { config.mutable_image()->set_image("no/such:image"); },
      Code::NOT_FOUND, {"no/such"});
  Expect(TryPull(Daemon::Shared(), "registry.k8s.io/no/such:image"), Code::NOT_FOUND, {"no/such"});
}

TEST_CASE("a bad digest and a bad reference are refused") {
  Expect(TryPull(Daemon::Shared(), "busybox@sha256:123"), Code::INVALID_ARGUMENT,
         {"image.image", "sha256:123"});
  Expect(TryPull(Daemon::Shared(), "some/UPPER"), Code::INVALID_ARGUMENT,
         {"image.image", "some/UPPER"});
  Expect(TryPull(Daemon::Shared(),
                 "registry.k8s.io/e2e-test-images/busybox@sha256:" + std::string(64, '0')),
         Code::NOT_FOUND, {std::string(64, '0')});
}

TEST_CASE("a registry that is down is an error naming it") {
  Expect(TryPull(Daemon::Shared(), "127.0.0.1:1/some/image"), Code::UNKNOWN,
         {"RegistryUnavailable: ", "127.0.0.1:1"});
}

TEST_CASE("a command that is missing, not executable or a directory fails to start") {
  StartFails({"nope"}, nullptr, Code::INVALID_ARGUMENT,
             {"nope", "executable file not found in $PATH"});
  StartFails({"/etc/passwd"}, nullptr, Code::INVALID_ARGUMENT, {"/etc/passwd", "EACCES"});
  StartFails({"/etc"}, nullptr, Code::INVALID_ARGUMENT, {"/etc", "EACCES"});
}

TEST_CASE("a working directory that is a file fails to start") {
  StartFails({"true"}, [](v1::ContainerConfig& config) { config.set_working_dir("/etc/passwd"); },
             Code::INVALID_ARGUMENT, {"working directory", "/etc/passwd"});
}

TEST_CASE("a host path below a file is refused") {
  Daemon& daemon = Daemon::Shared();
  const std::string file = daemon.dir() + "/a-file";
  REQUIRE(base::WriteFileAtomic(file, "", 0644).ok());
  Pod pod(daemon);
  const auto mounted = [&](const std::string& path) {
    return [=](v1::ContainerConfig& config) {
      v1::Mount* mount = config.add_mounts();
      mount->set_host_path(path);
      mount->set_container_path("/data");
    };
  };
  daemon.Pull(kBusybox);
  Expect(pod.TryCreate(pod.ContainerConfig({"true"}, mounted(file + "/below"))),
         Code::INVALID_ARGUMENT, {"hostPath", file + "/below"});
  // A missing directory is made, because hostPath volumes without a type expect that.
  CHECK(pod.WaitExited(pod.Run({"test", "-d", "/data"}, mounted(daemon.dir() + "/made/for/it")))
            .exit_code() == 0);
}

TEST_CASE("a user that the image does not have is refused") {
  CreateFails(
      [](v1::ContainerConfig& config) {
        config.mutable_linux()->mutable_security_context()->set_run_as_username("nosuchuser");
      },
      Code::INVALID_ARGUMENT, {"nosuchuser"});
}

TEST_CASE("a group without a user is refused") {
  CreateFails(
      [](v1::ContainerConfig& config) {
        config.mutable_linux()->mutable_security_context()->mutable_run_as_group()->set_value(5);
      },
      Code::INVALID_ARGUMENT, {"runAsGroup 5 needs runAsUser"});
}

TEST_CASE("a seccomp profile that is bad JSON or missing is refused") {
  const std::string profile = Daemon::Shared().dir() + "/seccomp.json";
  REQUIRE(base::WriteFileAtomic(profile, "{ no json", 0644).ok());
  const auto with = [](const std::string& path) {
    return [=](v1::ContainerConfig& config) {
      auto* seccomp = config.mutable_linux()->mutable_security_context()->mutable_seccomp();
      seccomp->set_profile_type(v1::SecurityProfile::Localhost);
      seccomp->set_localhost_ref(path);
    };
  };
  CreateFails(with(profile), Code::INVALID_ARGUMENT, {profile});
  CreateFails(with("/no/such/profile.json"), Code::INVALID_ARGUMENT, {"/no/such/profile.json"});
}

TEST_CASE("log paths with .. and relative host paths are refused") {
  CreateFails([](v1::ContainerConfig& config) { config.set_log_path("../../escape.log"); },
              Code::INVALID_ARGUMENT, {"log_path", "escape.log"});
  CreateFails(
      [](v1::ContainerConfig& config) {
        v1::Mount* mount = config.add_mounts();
        mount->set_host_path("relative");
        mount->set_container_path("/x");
      },
      Code::INVALID_ARGUMENT, {"hostPath", "relative"});
}

TEST_CASE("an unknown handler, sandbox or container is an error naming it") {
  Daemon& daemon = Daemon::Shared();
  v1::RunPodSandboxRequest run;
  *run.mutable_config() = PodConfig(daemon);
  run.set_runtime_handler("kata");
  v1::RunPodSandboxResponse ran;
  Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, run, &ran),
         Code::INVALID_ARGUMENT, {"RuntimeClass handler", "kata"});
  v1::CreateContainerRequest create;
  create.set_pod_sandbox_id("feedbeef");
  v1::CreateContainerResponse created;
  Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::CreateContainer, create, &created),
         Code::NOT_FOUND, {"sandbox", "feedbeef"});
  v1::StartContainerRequest start;
  start.set_container_id("feedbeef");
  v1::StartContainerResponse started;
  Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::StartContainer, start, &started),
         Code::NOT_FOUND, {"container", "feedbeef"});
}

TEST_CASE("propagation from or to a host path on a private mount is refused") {
  char name[] = "/var/lib/crisp-private-XXXXXX";
  const std::string directory = mkdtemp(name);
  REQUIRE(mount(directory.c_str(), directory.c_str(), nullptr, MS_BIND, nullptr) == 0);
  REQUIRE(mount(nullptr, directory.c_str(), nullptr, MS_PRIVATE, nullptr) == 0);
  const auto fault = [&](v1::MountPropagation propagation) {
    return [&directory, propagation](v1::ContainerConfig& config) {
      v1::Mount* mount = config.add_mounts();
      mount->set_host_path(directory);
      mount->set_container_path("/data");
      mount->set_propagation(propagation);
    };
  };
  for (const auto kind : {v1::PROPAGATION_HOST_TO_CONTAINER, v1::PROPAGATION_BIDIRECTIONAL}) {
    CreateFails(fault(kind), Code::INVALID_ARGUMENT,
                {kind == v1::PROPAGATION_BIDIRECTIONAL ? "mountPropagation Bidirectional"
                                                       : "mountPropagation HostToContainer",
                 directory, "not a shared"});
  }
  REQUIRE(mount(nullptr, directory.c_str(), nullptr, MS_SHARED, nullptr) == 0);
  {
    Pod pod(Daemon::Shared());
    for (const auto kind : {v1::PROPAGATION_HOST_TO_CONTAINER, v1::PROPAGATION_BIDIRECTIONAL}) {
      CHECK(pod.WaitExited(pod.Run({"true"}, fault(kind))).exit_code() == 0);
    }
  }
  CHECK(umount2(directory.c_str(), MNT_DETACH) == 0);
  CHECK(rmdir(directory.c_str()) == 0);
}

TEST_CASE("calls that are not built yet answer UNIMPLEMENTED") {
  Daemon& daemon = Daemon::Shared();
  v1::CheckpointContainerResponse response;
  Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::CheckpointContainer,
                    v1::CheckpointContainerRequest(), &response),
         Code::UNIMPLEMENTED, {"checkpoint"});
  v1::CheckpointPodResponse pod;
  Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::CheckpointPod,
                    v1::CheckpointPodRequest(), &pod),
         Code::UNIMPLEMENTED, {"checkpoint pods"});
  v1::RestorePodResponse restored;
  Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RestorePod,
                    v1::RestorePodRequest(), &restored),
         Code::UNIMPLEMENTED, {"restore pods"});
}

TEST_CASE("a sysctl that is not namespaced and a value that the kernel refuses are errors") {
  Daemon& daemon = Daemon::Shared();
  for (const auto& sysctl : {std::pair<const char*, const char*>{"kernel.core_pattern", "1"},
                             {"vm.swappiness", "1"},
                             {"net/../kernel/panic", "1"},
                             {"net.ipv4.ip_forward", "zzz"}}) {
    v1::RunPodSandboxRequest run;
    *run.mutable_config() = PodConfig(daemon, [&](v1::PodSandboxConfig& config) {
      (*config.mutable_linux()->mutable_sysctls())[sysctl.first] = sysctl.second;
    });
    v1::RunPodSandboxResponse ran;
    Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, run, &ran),
           Code::INVALID_ARGUMENT, {sysctl.first});
  }
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListPodSandbox, {}).items_size() ==
        0);
}

TEST_CASE("a port outside 1 to 65535 is not forwarded") {
  Pod pod(Daemon::Shared());
  for (const int port : {-1, 0, 70000}) {
    v1::PortForwardRequest request;
    request.set_pod_sandbox_id(pod.id());
    request.add_port(port);
    v1::PortForwardResponse response;
    Expect(pod.daemon().Try(pod.daemon().runtime(), &v1::RuntimeService::Stub::PortForward, request,
                            &response),
           Code::INVALID_ARGUMENT, {std::to_string(port)});
  }
}

TEST_CASE(
    "without a CNI configuration only host-network pods run, and the error says which directory is "
    "empty") {
  Daemon daemon;
  REQUIRE(base::RemoveTree(daemon.dir() + "/net.d").ok());
  v1::RunPodSandboxRequest run;
  *run.mutable_config() = PodConfig(daemon);
  v1::RunPodSandboxResponse ran;
  Expect(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, run, &ran),
         Code::UNAVAILABLE, {daemon.dir() + "/net.d"});
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListPodSandbox, {}).items_size() ==
        0);
  Pod host(daemon, [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  CHECK(host.Status().state() == v1::SANDBOX_READY);
}

TEST_CASE("a pull that fills the disk fails, leaves nothing, and works once there is space") {
  // The root directory is a separate file system that is too small for the debian image.
  char name[] = "/var/lib/crisp-full-XXXXXX";
  const std::string mount_point = mkdtemp(name);
  REQUIRE(mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=300m") == 0);
  {
    Daemon daemon({"--root", mount_point + "/root"});
    REQUIRE(base::WriteFileAtomic(mount_point + "/ballast", std::string(40 << 20, 'x'), 0600).ok());
    Expect(TryPull(daemon, "debian"), Code::RESOURCE_EXHAUSTED, {"bytes left"});
    CHECK(daemon.Call(daemon.images(), &v1::ImageService::Stub::ListImages, {}).images_size() == 0);
    REQUIRE(mount("tmpfs", mount_point.c_str(), "tmpfs", MS_REMOUNT, "size=2g") == 0);
    CHECK(TryPull(daemon, "debian").ok());
  }
  CHECK(umount2(mount_point.c_str(), MNT_DETACH) == 0);
  CHECK(rmdir(mount_point.c_str()) == 0);
}
