// Images as kubelet uses them: all forms of names, all formats of a registry, and what is reported.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "fakes/evil_registry.h"
#include "fakes/tar_builder.h"
#include "image_fixture.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Images = v1::ImageService::Stub;

namespace {

constexpr char kBusyboxName[] = "registry.k8s.io/e2e-test-images/busybox";

std::string Pull(Daemon& daemon, const std::string& image) {
  v1::PullImageRequest pull;
  pull.mutable_image()->set_image(image);
  return daemon.Call(daemon.images(), &Images::PullImage, pull).image_ref();
}

v1::ImageStatusResponse Status(Endpoint& daemon, const std::string& image) {
  v1::ImageStatusRequest request;
  request.mutable_image()->set_image(image);
  return daemon.Call(daemon.images(), &Images::ImageStatus, request);
}

void Remove(Daemon& daemon, const std::string& image) {
  v1::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  daemon.Call(daemon.images(), &Images::RemoveImage, request);
}

std::set<std::string> ListedIds(Daemon& daemon) {
  const v1::ListImagesResponse list = daemon.Call(daemon.images(), &Images::ListImages, {});
  std::set<std::string> ids;
  for (const v1::Image& image : list.images()) CHECK(ids.insert(image.id()).second);
  return ids;
}

v1::FilesystemUsage FsInfo(Daemon& daemon) {
  const v1::ImageFsInfoResponse info = daemon.Call(daemon.images(), &Images::ImageFsInfo, {});
  REQUIRE(info.image_filesystems_size() == 1);
  REQUIRE(info.container_filesystems_size() == 1);
  return info.image_filesystems(0);
}

std::function<void(v1::ContainerConfig&)> Of(const std::string& image) {
  return [image](v1::ContainerConfig& config) { config.mutable_image()->set_image(image); };
}

// The name with digest, "<name>@sha256:...", of an image that was pulled by its tag.
std::string DigestOf(Daemon& daemon, const std::string& image) {
  const v1::Image known = Status(daemon, image).image();
  REQUIRE(known.repo_digests_size() == 1);
  return known.repo_digests(0);
}

}  // namespace

TEST_CASE("a name without registry and tag is Docker Hub's latest, under all its names") {
  Daemon daemon;
  const std::string id = Pull(daemon, "busybox");
  for (const char* name : {"busybox", "busybox:latest", "library/busybox", "docker.io/busybox",
                           "docker.io/library/busybox:latest", "index.docker.io/library/busybox"}) {
    INFO(name);
    CHECK(Pull(daemon, name) == id);
    CHECK(Status(daemon, name).image().id() == id);
  }
  CHECK(Status(daemon, id).image().id() == id);
  CHECK(Status(daemon, std::string(absl::StripPrefix(id, "sha256:"))).image().id() == id);
  CHECK(Status(daemon, id.substr(7, 12)).image().id() == id);
  const v1::Image image = Status(daemon, id).image();
  REQUIRE(image.repo_tags_size() == 1);
  CHECK(image.repo_tags(0) == "docker.io/library/busybox:latest");
  REQUIRE(image.repo_digests_size() == 1);
  CHECK(absl::StartsWith(image.repo_digests(0), "docker.io/library/busybox@sha256:"));
  CHECK(image.size() > 0);
  CHECK(image.has_uid());
  CHECK(ListedIds(daemon) == std::set<std::string>{id});
}

TEST_CASE("an image pulled by digest has the same id and no tag") {
  Daemon daemon;
  const std::string id = Pull(daemon, kBusybox);
  const std::string by_digest = DigestOf(daemon, kBusybox);
  CHECK(Pull(daemon, by_digest) == id);
  Remove(daemon, id);
  CHECK(ListedIds(daemon).empty());
  CHECK(Pull(daemon, by_digest) == id);
  CHECK(Status(daemon, id).image().repo_tags_size() == 0);
  CHECK(DigestOf(daemon, id) == by_digest);
  // With both a tag and a digest the digest decides.
  const std::string digest = by_digest.substr(by_digest.find('@'));
  CHECK(Pull(daemon, absl::StrCat(kBusyboxName, ":no-such-tag", digest)) == id);
  CHECK_FALSE(Status(daemon, kBusybox).has_image());
  CHECK(Pull(daemon, kBusybox) == id);
  CHECK(Status(daemon, id).image().repo_tags(0) == kBusybox);
}

TEST_CASE("images of every format are pulled and run: lists, Docker's schema 2, all compressions") {
  Pod pod(Daemon::Shared());
  const auto first_line = [&](const std::string& image, const std::string& script) {
    const std::string container = pod.Run({"sh", "-c", script}, Of(image));
    CHECK(pod.WaitExited(container).exit_code() == 0);
    return pod.LogText(container);
  };
  // An OCI index with zstd layers; a Docker list; one Docker manifest of 100 gzip and plain layers.
  CHECK(first_line(kBusybox, "uname -s") == "Linux\n");
  CHECK(first_line("registry.k8s.io/e2e-test-images/nginx:1.14-2", "cat /etc/e2e; echo ok") ==
        "ok\n");
  CHECK(first_line("docker.io/crisp/layers-100:1",
                   "cat /layers/last; ls /layers | grep -v last | wc -l") == "99\n98\n");
  // One OCI manifest whose layers (gzip, zstd, plain) delete files of each other.
  CHECK(first_line("docker.io/crisp/whiteouts:1", "cd /w; ls -1; ls opaque; cat returns kept") ==
        "dir-to-file\nfile-to-dir\nkept\nopaque\nreturns\nnew\n31");
}

TEST_CASE("a container runs what the image's configuration says") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({}, Of("docker.io/crisp/annotated:1"));
  CHECK(pod.WaitExited(container).exit_code() == 0);
  const std::string text = pod.LogText(container);
  CHECK(absl::StartsWith(text, "/made/by/the/runtime\nuid=65534(nobody)"));
  CHECK(absl::StrContains(text, "ANSWER=42\n"));
  CHECK(Status(pod.daemon(), "docker.io/crisp/annotated:1").image().username() == "nobody");
}

TEST_CASE("the id of an image is the same in all answers") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  const std::string id = Pull(daemon, kBusybox);
  CHECK(absl::StartsWith(id, "sha256:"));
  CHECK(Status(daemon, kBusybox).image().id() == id);
  CHECK(ListedIds(daemon).count(id) == 1);
  // Like kubelet: by id, together with the name that the user wrote.
  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    config.mutable_image()->set_image(id);
    config.mutable_image()->set_user_specified_image(kBusybox);
  });
  CHECK(pod.ContainerStatus(container).image_id() == id);
  v1::ListContainersRequest list;
  list.mutable_filter()->set_id(container);
  const auto listed =
      daemon.Call(daemon.runtime(), &v1::RuntimeService::Stub::ListContainers, list);
  REQUIRE(listed.containers_size() == 1);
  CHECK(listed.containers(0).image_id() == id);
  CHECK(listed.containers(0).image_ref() == id);
  // crictl looks this up to see which images are in use.
  CHECK(listed.containers(0).image().image() == id);
}

TEST_CASE("a container's status names its image by tag and digest, not by id") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string id = Pull(daemon, kBusybox);
  const std::string digest = DigestOf(daemon, id);
  const auto create = [&](const std::string& user_specified) {
    return pod.Create(pod.ContainerConfig({"true"}, [&](v1::ContainerConfig& config) {
      config.mutable_metadata()->set_name(absl::StrCat("c", user_specified.size()));
      config.mutable_image()->set_image(id);
      config.mutable_image()->set_user_specified_image(user_specified);
    }));
  };
  const auto check = [&](const std::string& container, const std::string& name,
                         const std::string& ref) {
    const v1::ContainerStatus status = pod.ContainerStatus(container);
    CHECK(status.image().image() == name);
    CHECK(status.image_ref() == ref);
    CHECK(status.image_id() == id);
  };
  const std::string by_tag = create(kBusybox);
  const std::string unsaid = create("");
  check(by_tag, kBusybox, digest);
  check(unsaid, kBusybox, digest);
  Remove(daemon, id);
  REQUIRE(Pull(daemon, digest) == id);
  const std::string by_digest = create(digest);
  check(by_digest, digest, digest);
  // The name at the time the container was made, even if the tag has moved; also after a restart.
  check(by_tag, kBusybox, digest);
  daemon.Kill9();
  const std::string record = daemon.root() + "/containers/" + unsaid + "/record.json";
  const std::string text = *base::ReadFile(record);
  const std::string older =
      absl::StrReplaceAll(text, {{"\"image_name\"", "\"a\""}, {"\"image_ref\"", "\"b\""}});
  REQUIRE(older != text);
  REQUIRE(base::WriteFileAtomic(record, older, 0600).ok());
  daemon.Start();
  check(by_tag, kBusybox, digest);
  check(by_digest, digest, digest);
  // An older crispd wrote only the id.
  check(unsaid, id, id);
}

TEST_CASE("a container's status has the name that the user wrote, of several names of its image") {
  Daemon daemon;
  Pod pod(daemon);
  const std::string name = "gcr.io/k8s-staging-cri-tools/test-image-tags:";
  const std::string id = Pull(daemon, name + "1");
  REQUIRE(Pull(daemon, name + "2") == id);
  const auto told = [&](const std::string& image, const std::string& user_specified) {
    const std::string container = pod.Create(pod.ContainerConfig({"/x"}, [&](auto& config) {
      config.mutable_image()->set_image(image);
      config.mutable_image()->set_user_specified_image(user_specified);
    }));
    const v1::ContainerStatus status = pod.ContainerStatus(container);
    CHECK(status.image_ref() == DigestOf(daemon, id));
    pod.RemoveContainer(container);
    return status.image().image();
  };
  CHECK(told(id, name + "1") == name + "1");
  CHECK(told(id, name + "2") == name + "2");
  CHECK(told(name + "2", "") == name + "2");
  // Text that is not a name of the image is not repeated.
  CHECK(told(id, "docker.io/library/other:1") == name + "1");
  CHECK(told(id, "NO name") == name + "1");
}

TEST_CASE("removing an image removes all its tags") {
  Daemon daemon;
  const std::string name = "gcr.io/k8s-staging-cri-tools/test-image-tags:";
  const std::string id = Pull(daemon, name + "1");
  CHECK(Pull(daemon, name + "2") == id);
  CHECK(Pull(daemon, name + "3") == id);
  const v1::Image image = Status(daemon, id).image();
  CHECK(std::set<std::string>(image.repo_tags().begin(), image.repo_tags().end()) ==
        std::set<std::string>{name + "1", name + "2", name + "3"});
  Remove(daemon, id);
  for (const char* tag : {"1", "2", "3"}) CHECK_FALSE(Status(daemon, name + tag).has_image());
  CHECK(ListedIds(daemon).empty());
}

TEST_CASE("the status of a missing image is empty, and removing it succeeds") {
  Daemon daemon;
  for (const std::string& name : {std::string("registry.k8s.io/no/such:image"),
                                  std::string(64, 'a'), "sha256:" + std::string(64, 'a')}) {
    INFO(name);
    CHECK_FALSE(Status(daemon, name).has_image());
    Remove(daemon, name);
  }
  // A status of a name that is not valid is empty too, but removing it is an error.
  CHECK_FALSE(Status(daemon, "NO!such name").has_image());
  v1::RemoveImageRequest remove;
  remove.mutable_image()->set_image("NO!such name");
  v1::RemoveImageResponse removed;
  CHECK(daemon.Try(daemon.images(), &Images::RemoveImage, remove, &removed).error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
  v1::ImageStatusResponse response;
  CHECK(daemon.Try(daemon.images(), &Images::ImageStatus, {}, &response).error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
  const std::string id = Pull(daemon, kBusybox);
  std::vector<std::thread> removers;  // at the same time, as critest does
  for (int i = 0; i < 4; ++i) removers.emplace_back([&] { Remove(daemon, id); });
  for (std::thread& remover : removers) remover.join();
  CHECK_FALSE(Status(daemon, id).has_image());
}

TEST_CASE("a removed image stays for its containers, and its space is freed after the last") {
  Daemon daemon;
  const uint64_t before = FsInfo(daemon).used_bytes().value();
  Pod pod(daemon);
  const std::string id = Pull(daemon, kBusybox);
  const uint64_t pulled = FsInfo(daemon).used_bytes().value();
  CHECK(pulled > before);
  const std::string container = pod.Run({"sleep", "1000"});
  const std::string created = pod.Create(pod.ContainerConfig({"echo", "still there"}));
  Remove(daemon, id);
  CHECK_FALSE(Status(daemon, id).has_image());
  CHECK(FsInfo(daemon).used_bytes().value() == pulled);
  CHECK(pod.Exec(container, {"echo", "alive"}).out == "alive\n");
  pod.Start(created);
  pod.WaitExited(created);
  CHECK(pod.LogText(created) == "still there\n");
  CHECK(pod.ContainerStatus(container).image_id() == id);
  CHECK(pod.TryCreate(pod.ContainerConfig({"true"})).error_code() == grpc::StatusCode::NOT_FOUND);

  pod.RemoveContainer(created);
  CHECK(FsInfo(daemon).used_bytes().value() == pulled);
  pod.RemoveContainer(container);
  CHECK(FsInfo(daemon).used_bytes().value() == before);
  CHECK(Pull(daemon, kBusybox) == id);
  CHECK(pod.WaitExited(pod.Run({"true"})).exit_code() == 0);
}

TEST_CASE("ImageFsInfo reports what kubelet needs") {
  Daemon daemon;
  const v1::FilesystemUsage empty = FsInfo(daemon);
  struct stat info;
  REQUIRE(stat(empty.fs_id().mountpoint().c_str(), &info) == 0);
  CHECK(S_ISDIR(info.st_mode));
  CHECK(empty.timestamp() > 0);
  REQUIRE(empty.has_used_bytes());
  REQUIRE(empty.has_inodes_used());
  const std::string id = Pull(daemon, kBusybox);
  const v1::FilesystemUsage full = FsInfo(daemon);
  CHECK(full.used_bytes().value() > empty.used_bytes().value());
  CHECK(full.inodes_used().value() > empty.inodes_used().value());
  // The same after a restart, which reads records instead of measuring.
  daemon.Kill9();
  daemon.Start();
  CHECK(FsInfo(daemon).used_bytes().value() == full.used_bytes().value());
  CHECK(ListedIds(daemon) == std::set<std::string>{id});
  Remove(daemon, id);
  CHECK(FsInfo(daemon).used_bytes().value() == empty.used_bytes().value());
}

TEST_CASE(
    "a pull that fails leaves no layers, and an image that shared some with it can be removed "
    "completely") {
  Daemon daemon;
  image::EvilRegistry registry;
  const auto layer = [](const std::string& content) {
    return snapshot::TarBuilder().File("file", content).Done();
  };
  const std::string bad = layer("bad");
  Serve(registry, image::MakeImage({layer("1"), layer("2"), layer("good")}), "good");
  Serve(registry, image::MakeImage({layer("1"), layer("2"), layer("own"), bad}), "bad");
  const uint64_t empty = FsInfo(daemon).inodes_used().value();
  Pull(daemon, registry.host() + "/repo:good");
  const uint64_t before = FsInfo(daemon).inodes_used().value();
  std::atomic<uint64_t> at_failure = 0;
  image::EvilReply missing{.status = 404};
  missing.before_reply = [&] {
    for (int i = 0; i < 2000 && at_failure <= before; ++i) {
      v1::ImageFsInfoResponse info;
      (void)daemon.Try(daemon.images(), &Images::ImageFsInfo, {}, &info);
      at_failure = info.image_filesystems(0).inodes_used().value();
      usleep(5000);
    }
  };
  registry.Serve(image::BlobPath(bad), missing);
  v1::PullImageRequest pull;
  v1::PullImageResponse response;
  pull.mutable_image()->set_image(registry.host() + "/repo:bad");
  CHECK_FALSE(daemon.Try(daemon.images(), &Images::PullImage, pull, &response).ok());
  CHECK(at_failure > before);
  CHECK(FsInfo(daemon).inodes_used().value() == before);
  CHECK(ListedIds(daemon).size() == 1);
  Remove(daemon, registry.host() + "/repo:good");
  CHECK(FsInfo(daemon).inodes_used().value() == empty);
}

TEST_CASE("a pull whose caller leaves keeps no layers") {
  Daemon daemon;
  image::EvilRegistry registry;
  const std::string first = snapshot::TarBuilder().File("file", "first").Done();
  const std::string stuck = snapshot::TarBuilder().File("file", "stuck").Done();
  Serve(registry, image::MakeImage({first, stuck}));
  registry.Serve(image::BlobPath(stuck), image::EvilReply{.body = stuck, .stall_after = 100});
  const uint64_t empty = FsInfo(daemon).inodes_used().value();
  const auto await_inodes = [&](bool some) {
    for (int i = 0; i < 2000; ++i) {
      if ((FsInfo(daemon).inodes_used().value() > empty) == some) return true;
      usleep(5000);
    }
    return false;
  };
  grpc::ClientContext context;
  std::thread caller([&] {
    v1::PullImageRequest pull;
    v1::PullImageResponse response;
    pull.mutable_image()->set_image(registry.host() + "/repo:v1");
    (void)daemon.images().PullImage(&context, pull, &response);
  });
  CHECK(await_inodes(true));
  context.TryCancel();
  caller.join();
  // The caller leaves at once, and the pull ends after it.
  CHECK(await_inodes(false));
}

TEST_CASE("several pulls of one image at the same time all succeed") {
  Daemon daemon;
  std::vector<std::thread> pullers;
  std::vector<std::string> ids(6);
  for (size_t i = 0; i < ids.size(); ++i) {
    pullers.emplace_back([&, i] { ids[i] = Pull(daemon, kBusybox); });
  }
  for (std::thread& puller : pullers) puller.join();
  CHECK(std::set<std::string>(ids.begin(), ids.end()).size() == 1);
  CHECK(ListedIds(daemon) == std::set<std::string>{ids[0]});
}

TEST_CASE("hosts.toml directs pulls to mirrors, in order, and is read at every pull") {
  const char* registry = getenv("CRISP_TEST_REGISTRY");
  REQUIRE(registry != nullptr);
  char dir[] = "/tmp/crisp-certs-XXXXXX";
  REQUIRE(mkdtemp(dir) != nullptr);
  const auto write_hosts = [&](const std::string& hosts) {
    const std::string directory = absl::StrCat(dir, "/mirrored.example");
    REQUIRE(base::MakeDirs(directory, 0755).ok());
    // A request to the upstream itself would fail.
    REQUIRE(base::WriteFileAtomic(directory + "/hosts.toml",
                                  "server = \"http://127.0.0.1:1\"\n" + hosts, 0644)
                .ok());
  };
  const auto host = [](absl::string_view address) {
    return absl::StrCat("[host.\"http://", address,
                        "\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
  };
  {
    Daemon daemon({"--registry-config-path", dir});
    const std::string name = "mirrored.example/e2e-test-images/busybox:1.29-2";
    write_hosts(host("127.0.0.1:2"));
    v1::PullImageRequest pull;
    v1::PullImageResponse response;
    pull.mutable_image()->set_image(name);
    const grpc::Status down = daemon.Try(daemon.images(), &Images::PullImage, pull, &response);
    CHECK(down.error_code() == grpc::StatusCode::UNKNOWN);
    CHECK(absl::StartsWith(down.error_message(), "RegistryUnavailable: "));
    write_hosts(absl::StrCat(host("127.0.0.1:2"), host(registry)));  // the first mirror is down
    const std::string id = Pull(daemon, name);
    CHECK(Status(daemon, id).image().repo_tags(0) == name);
    CHECK(absl::StartsWith(DigestOf(daemon, id), "mirrored.example/e2e-test-images/busybox@"));
  }
  CHECK(base::RemoveTree(dir).ok());
}
