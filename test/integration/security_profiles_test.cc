// Seccomp profiles that are OCI artifacts, from the registry to the kernel (KEP-6061).
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "fakes/evil_image.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Code = grpc::StatusCode;
using Images = v1::ImageService::Stub;

namespace {

constexpr char kNoMkdir[] = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]})";

v1::PullSecurityProfileRequest PullRequest(const std::string& name) {
  v1::PullSecurityProfileRequest request;
  request.mutable_image()->set_image(name);
  request.mutable_image()->set_user_specified_image(name);
  request.set_profile_kind(v1::Seccomp);
  return request;
}

std::function<void(v1::ContainerConfig&)> WithProfile(const std::string& name) {
  return [name](v1::ContainerConfig& config) {
    v1::SecurityProfile& seccomp =
        *config.mutable_linux()->mutable_security_context()->mutable_seccomp();
    seccomp.set_profile_type(v1::SecurityProfile::OCI);
    seccomp.set_oci_ref(name);
  };
}

// Whether a program in the container may do that, or is told that it is not permitted.
bool May(Pod& pod, const std::string& container, const std::vector<std::string>& command) {
  const ExecResult result = pod.Exec(container, command);
  if (result.exit_code != 0) CHECK(absl::StrContains(result.err, "Operation not permitted"));
  return result.exit_code == 0;
}

}  // namespace

TEST_CASE("a pulled profile is in force beside the default one, and outlives crispd") {
  Daemon daemon;
  image::EvilRegistry registry;
  const std::string name = image::ServeSeccompProfile(registry, kNoMkdir, "profiles");
  CHECK(daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::Status, {})
            .features()
            .seccomp_profile_oci());
  Pod pod(daemon);
  daemon.Pull(kBusybox);
  const v1::ContainerConfig config = pod.ContainerConfig({"sleep", "1000"}, WithProfile(name));
  const grpc::Status early = pod.TryCreate(config);
  CHECK(early.error_code() == Code::FAILED_PRECONDITION);
  CHECK(absl::StrContains(early.error_message(), "was not pulled"));

  CHECK_FALSE(
      daemon.Call(daemon.images(), &Images::PullSecurityProfile, PullRequest(name)).cached());
  CHECK(daemon.Call(daemon.images(), &Images::PullSecurityProfile, PullRequest(name)).cached());
  daemon.Kill9();
  daemon.Start();
  CHECK(daemon.Call(daemon.images(), &Images::PullSecurityProfile, PullRequest(name)).cached());
  const auto listed = daemon.Call(daemon.images(), &Images::ListSecurityProfiles, {});
  REQUIRE(listed.profiles_size() == 1);
  CHECK(listed.profiles(0).refs(0) == name);
  CHECK(daemon.Call(daemon.images(), &Images::ListImages, {}).images_size() == 1);

  const std::string container = pod.Create(config);
  pod.Start(container);
  CHECK_FALSE(May(pod, container, {"mkdir", "/new"}));          // the artifact
  CHECK_FALSE(May(pod, container, {"unshare", "-U", "true"}));  // the default profile
  CHECK(May(pod, container, {"touch", "/file"}));

  v1::RemoveSecurityProfileRequest remove;
  remove.set_digest(listed.profiles(0).digest());
  for (int i = 0; i < 2; ++i) daemon.Call(daemon.images(), &Images::RemoveSecurityProfile, remove);
  CHECK(daemon.Call(daemon.images(), &Images::ListSecurityProfiles, {}).profiles().empty());
  CHECK_FALSE(May(pod, container, {"mkdir", "/new"}));
  CHECK(pod.TryCreate(pod.ContainerConfig({"true"}, WithProfile(name))).error_code() ==
        Code::FAILED_PRECONDITION);
}

TEST_CASE("a Localhost base takes the place of the default profile") {
  Daemon& daemon = Daemon::Shared();
  image::EvilRegistry registry;
  const std::string name = image::ServeSeccompProfile(registry, kNoMkdir, "based");
  daemon.Call(daemon.images(), &Images::PullSecurityProfile, PullRequest(name));
  const std::string base = daemon.dir() + "/base.json";
  REQUIRE(base::WriteFileAtomic(base, R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["rmdir", "unlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]})",
                                0600)
              .ok());
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    WithProfile(name)(config);
    v1::SecurityProfileBase& of = *config.mutable_linux()
                                       ->mutable_security_context()
                                       ->mutable_seccomp()
                                       ->mutable_base_profile();
    of.set_type(v1::SecurityProfileBase::Localhost);
    of.set_localhost_ref(base);
  });
  CHECK_FALSE(May(pod, container, {"mkdir", "/new"}));
  CHECK_FALSE(May(pod, container, {"rmdir", "/tmp"}));
  CHECK(May(pod, container, {"touch", "/file"}));
}

TEST_CASE("a pod's own process runs under a pulled profile, and is not made without") {
  Daemon& daemon = Daemon::Shared();
  image::EvilRegistry registry;
  const std::string name = image::ServeSeccompProfile(registry, kNoMkdir, "pods");
  v1::RunPodSandboxRequest run;
  *run.mutable_config() = PodConfig(daemon, [&](v1::PodSandboxConfig& config) {
    v1::SecurityProfile& seccomp =
        *config.mutable_linux()->mutable_security_context()->mutable_seccomp();
    seccomp.set_profile_type(v1::SecurityProfile::OCI);
    seccomp.set_oci_ref(name);
  });
  v1::RunPodSandboxResponse ran;
  CHECK(daemon.Try(daemon.runtime(), &v1::RuntimeService::Stub::RunPodSandbox, run, &ran)
            .error_code() == Code::FAILED_PRECONDITION);
  daemon.Call(daemon.images(), &Images::PullSecurityProfile, PullRequest(name));
  Pod pod(daemon, [&](v1::PodSandboxConfig& config) {
    *config.mutable_linux()->mutable_security_context() = run.config().linux().security_context();
  });
  CHECK_FALSE(pod.Ip().empty());
}

TEST_CASE("an artifact of another kind is SecurityProfileInvalid, and no image either") {
  Daemon& daemon = Daemon::Shared();
  image::EvilRegistry registry;
  const image::TestImage image = image::MakeImage({});
  image::Serve(registry, image, "v1", "image");
  const std::string name = absl::StrCat(registry.host(), "/image@", image.digest().str());
  v1::PullSecurityProfileResponse response;
  const grpc::Status refused =
      daemon.Try(daemon.images(), &Images::PullSecurityProfile, PullRequest(name), &response);
  CHECK(refused.error_code() == Code::INVALID_ARGUMENT);
  CHECK(absl::StartsWith(refused.error_message(), "SecurityProfileInvalid: "));
  // The other way round.
  v1::PullImageRequest pull;
  pull.mutable_image()->set_image(image::ServeSeccompProfile(registry, kNoMkdir, "profile"));
  v1::PullImageResponse pulled;
  CHECK_FALSE(daemon.Try(daemon.images(), &Images::PullImage, pull, &pulled).ok());
}
