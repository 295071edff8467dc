// PullImage, ImageStatus, ListImages, RemoveImage, ImageFsInfo; Version, Status, RuntimeConfig,
// UpdateRuntimeConfig.
#include <catch2/catch.hpp>

#include "fake_runtime.h"

namespace crisp::cri {
namespace {

using Calls = std::vector<std::string>;

TEST_CASE("PullImage pulls the canonical name with the credentials given") {
  FakeRuntime fake;
  v1::PullImageRequest request;
  request.mutable_image()->set_image("debian");
  request.mutable_auth()->set_auth("dXNlcjpwYXNz");  // user:pass
  const auto response = PullImage(fake.api(), request, fake.call);
  REQUIRE(response.ok());
  CHECK(response->image_ref() == "sha256:" + Id('a'));
  CHECK(fake.actions.calls == Calls{"pull docker.io/library/debian:latest user"});
}

TEST_CASE("PullImage does not read an encoded user and password where others are given") {
  FakeRuntime fake;
  v1::PullImageRequest request;
  request.mutable_image()->set_image("debian");
  request.mutable_auth()->set_auth("not base64!");
  request.mutable_auth()->set_username("ann");
  CHECK(PullImage(fake.api(), request, fake.call).ok());
  request.mutable_auth()->clear_username();
  request.mutable_auth()->set_identity_token("fresh");
  CHECK(PullImage(fake.api(), request, fake.call).ok());
  CHECK(fake.actions.calls ==
        Calls{"pull docker.io/library/debian:latest ann", "pull docker.io/library/debian:latest "});
}

TEST_CASE("PullImage names the field that is wrong and asks no registry") {
  FakeRuntime fake;
  v1::PullImageRequest name;
  name.mutable_image()->set_image("Not A Name");
  v1::PullImageRequest auth;
  auth.mutable_image()->set_image("debian");
  auth.mutable_auth()->set_auth("not base64!");
  v1::PullImageRequest handler;
  handler.mutable_image()->set_image("debian");
  handler.mutable_image()->set_runtime_handler("kata");
  for (const auto& [request, word] : {std::pair(name, "image.image"), std::pair(auth, "auth.auth"),
                                      std::pair(handler, "RuntimeClass handler")}) {
    const absl::Status status = PullImage(fake.api(), request, fake.call).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK_THAT(std::string(status.message()), Catch::Contains(word));
  }
  CHECK(fake.actions.calls.empty());
}

TEST_CASE("ImageStatus of an image that is not there is an empty answer") {
  FakeRuntime fake;
  fake.images.by_name["debian"] = MakeImage('a', "docker.io/library/debian:latest");
  v1::ImageStatusRequest request;
  CHECK(absl::IsInvalidArgument(ImageStatus(fake.api(), request, fake.call).status()));
  request.mutable_image()->set_image("alpine");
  CHECK_FALSE(ImageStatus(fake.api(), request, fake.call)->has_image());
  request.mutable_image()->set_image("debian");
  request.set_verbose(true);
  const auto response = ImageStatus(fake.api(), request, fake.call);
  CHECK(response->image().id() == "sha256:" + Id('a'));
  CHECK(response->image().size() == 42);
  CHECK(response->info().count("info") == 1);
}

TEST_CASE("ListImages lists all, or the one the filter names") {
  FakeRuntime fake;
  fake.images.by_name["debian"] = MakeImage('a', "docker.io/library/debian:latest");
  fake.images.by_name["alpine"] = MakeImage('b', "docker.io/library/alpine:latest");
  v1::ListImagesRequest request;
  CHECK(ListImages(fake.api(), request, fake.call)->images_size() == 2);
  request.mutable_filter()->mutable_image()->set_image("alpine");
  const auto one = ListImages(fake.api(), request, fake.call);
  REQUIRE(one->images_size() == 1);
  CHECK(one->images(0).id() == "sha256:" + Id('b'));
  request.mutable_filter()->mutable_image()->set_image("none");
  CHECK(ListImages(fake.api(), request, fake.call)->images_size() == 0);
}

TEST_CASE("RemoveImage removes what is there and succeeds for what is not") {
  FakeRuntime fake;
  fake.images.by_name["debian"] = MakeImage('a', "docker.io/library/debian:latest");
  v1::RemoveImageRequest request;
  CHECK(absl::IsInvalidArgument(RemoveImage(fake.api(), request, fake.call).status()));
  request.mutable_image()->set_image("alpine");
  CHECK(RemoveImage(fake.api(), request, fake.call).ok());
  CHECK(fake.actions.calls.empty());
  request.mutable_image()->set_image("debian");
  CHECK(RemoveImage(fake.api(), request, fake.call).ok());
  CHECK(fake.actions.calls == Calls{"remove sha256:" + Id('a')});
}

TEST_CASE("PullSecurityProfile passes reference and credentials on, and says what was there") {
  FakeRuntime fake;
  v1::PullSecurityProfileRequest request;
  request.mutable_image()->set_image("host/x@sha256:0");
  request.mutable_auth()->set_username("me");
  request.set_profile_kind(v1::Seccomp);
  for (const bool present : {false, true}) {
    fake.profiles.present = present;
    const auto response = PullSecurityProfile(fake.api(), request, fake.call);
    REQUIRE(response.ok());
    CHECK(response->cached() == present);
  }
  CHECK(fake.actions.calls ==
        Calls{"pull profile host/x@sha256:0 me", "pull profile host/x@sha256:0 me"});
  fake.actions.result = absl::InvalidArgumentError("SecurityProfileInvalid: why");
  // Its beginning is what kubelet goes by.
  CHECK(PullSecurityProfile(fake.api(), request, fake.call).status() == fake.actions.result);
}

TEST_CASE("PullSecurityProfile refuses other kinds, unknown handlers and bad credentials") {
  FakeRuntime fake;
  v1::PullSecurityProfileRequest request;
  request.mutable_image()->set_image("host/x@sha256:0");
  const auto refused = [&](const std::string& text) {
    const absl::Status status = PullSecurityProfile(fake.api(), request, fake.call).status();
    INFO(status);
    CHECK(absl::IsInvalidArgument(status));
    CHECK(absl::StrContains(status.message(), text));
  };
  refused("SecurityProfileInvalid: profile_kind \"SecurityProfileKindUnspecified\"");
  request.set_profile_kind(v1::SecurityProfileKind(9));
  refused("SecurityProfileInvalid: profile_kind \"9\"");
  request.set_profile_kind(v1::Seccomp);
  request.mutable_image()->set_runtime_handler("kata");
  refused("kata");
  request.mutable_image()->clear_runtime_handler();
  request.mutable_auth()->set_auth("!");
  refused("auth.auth");
  CHECK(fake.actions.calls.empty());
}

TEST_CASE("security profiles are listed with all their references, and removed by digest") {
  FakeRuntime fake;
  CHECK(ListSecurityProfiles(fake.api(), {}, fake.call)->profiles().empty());
  fake.profiles.all = {{.digest = "sha256:1", .names = {"a@sha256:1", "b@sha256:1"}, .bytes = 7}};
  const auto listed = ListSecurityProfiles(fake.api(), {}, fake.call);
  REQUIRE(listed->profiles_size() == 1);
  CHECK(listed->profiles(0).ShortDebugString() ==
        R"(digest: "sha256:1" refs: "a@sha256:1" refs: "b@sha256:1" size: 7)");
  v1::RemoveSecurityProfileRequest request;
  request.set_digest("sha256:1");
  CHECK(RemoveSecurityProfile(fake.api(), request, fake.call).ok());
  CHECK(fake.actions.calls == Calls{"remove profile sha256:1"});
}

TEST_CASE("ImageFsInfo gives the file system of layers in both of kubelet's lists") {
  FakeRuntime fake;
  const auto info = ImageFsInfo(fake.api(), {}, fake.call);
  REQUIRE(info->image_filesystems_size() == 1);
  REQUIRE(info->container_filesystems_size() == 1);
  for (const v1::FilesystemUsage& fs :
       {info->image_filesystems(0), info->container_filesystems(0)}) {
    CHECK(fs.fs_id().mountpoint() == "/layers");
    CHECK(fs.used_bytes().value() == 100);
    CHECK(fs.inodes_used().value() == 10);
  }
}

TEST_CASE("Status tells whether the network is ready, and every handler's features") {
  FakeRuntime fake;
  v1::StatusRequest request;
  const auto condition = [&](int i) {
    return Status(fake.api(), request, fake.call)->status().conditions(i);
  };
  CHECK(condition(0).type() == "RuntimeReady");
  CHECK(condition(0).status());
  CHECK(condition(1).type() == "NetworkReady");
  CHECK(condition(1).status());
  fake.network.state.ready = absl::UnavailableError("no network config found in /x");
  CHECK_FALSE(condition(1).status());
  CHECK(condition(1).reason() == "NetworkPluginNotReady");
  CHECK(condition(1).message() == "no network config found in /x");
  const auto response = Status(fake.api(), request, fake.call);
  REQUIRE(response->runtime_handlers_size() == 2);
  CHECK(response->runtime_handlers(0).name().empty());
  CHECK(response->runtime_handlers(1).name() == "crisp");
  CHECK(response->runtime_handlers(1).features().user_namespaces());
  // What kubelet is told must be what CreateContainer takes: all that is not named here is false.
  CHECK(response->features().ShortDebugString() ==
        "supplemental_groups_policy: true user_namespaces_host_network: true mount_options: true "
        "cgroup_mount_mode: true seccomp_profile_oci: true");
  CHECK(response->runtime_handlers(0).features().ShortDebugString() ==
        "recursive_read_only_mounts: true user_namespaces: true cgroup_namespaces: true");
  CHECK(response->info().empty());
  request.set_verbose(true);
  CHECK(Status(fake.api(), request, fake.call)->info().count("config") == 1);
}

TEST_CASE("Version, RuntimeConfig and UpdateRuntimeConfig answer what kubelet asks at its start") {
  FakeRuntime fake;
  CHECK(Version(fake.api(), {}, fake.call)->runtime_name() == "crisp");
  CHECK(Version(fake.api(), {}, fake.call)->runtime_api_version() == "v1");
  CHECK(RuntimeConfig(fake.api(), {}, fake.call)->linux().cgroup_driver() == v1::CGROUPFS);
  fake.config.cgroup.driver = config::kSystemdDriver;
  CHECK(RuntimeConfig(fake.api(), {}, fake.call)->linux().cgroup_driver() == v1::SYSTEMD);
  CHECK(UpdateRuntimeConfig(fake.api(), {}, fake.call).ok());
}

}  // namespace
}  // namespace crisp::cri
