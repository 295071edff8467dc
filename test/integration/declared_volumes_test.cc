// Volumes that an image declares: VOLUME of a Dockerfile.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

constexpr char kImage[] = "docker.io/crisp/volumes:1";

void UseImage(v1::ContainerConfig& config) { config.mutable_image()->set_image(kImage); }

std::string Sh(Pod& pod, const std::string& container, const std::string& script) {
  const ExecResult result = pod.Exec(container, {"sh", "-c", script});
  CHECK(result.err.empty());
  return result.out;
}

}  // namespace

TEST_CASE("an image's volumes are mounts outside the overlay, with the image's content") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run({"sleep", "1000"}, UseImage);
  for (const char* path : {"/missing", "/seeded", "/over", "/named"}) {
    CAPTURE(path);
    CHECK(Sh(pod, container, absl::StrCat("grep -c ' ", path, " ' /proc/mounts")) == "1\n");
    const std::string type = Sh(pod, container, absl::StrCat("stat -f -c %t ", path));
    CHECK(type != Sh(pod, container, "stat -f -c %t /"));
    CHECK(Sh(pod, container, absl::StrCat("touch ", path, "/new && echo made")) == "made\n");
  }
  CHECK(Sh(pod, container, "cat /seeded/file /seeded/deep/er/file; ls /seeded") ==
        "topdeepdeep\nfile\nnew\n");
  CHECK(Sh(pod, container, "stat -c %a /seeded /seeded/file /seeded/deep/er/file /missing") ==
        "1777\n640\n600\n755\n");
  // What an image may not have a volume at is what it always is.
  CHECK(Sh(pod, container, "stat -f -c %t /proc") == "9fa0\n");
  CHECK(Sh(pod, container, "grep -c localhost /etc/hosts") != "0\n");
}

TEST_CASE("an image's volumes are the container's own, and are removed with it") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  const std::string first = pod.Run({"sleep", "1000"}, UseImage);
  CHECK(Sh(pod, first, "echo changed >/seeded/file; rm -r /seeded/deep; cat /seeded/file") ==
        "changed\n");
  const std::string second = pod.Run({"sleep", "1000"}, UseImage);
  CHECK(Sh(pod, second, "cat /seeded/file /seeded/deep/er/file") == "topdeep");
  const std::string directory = absl::StrCat(daemon.root(), "/snapshots/containers/", first);
  CHECK(access((directory + "/volumes").c_str(), F_OK) == 0);
  pod.StopContainer(first, 0);
  pod.RemoveContainer(first);
  CHECK(access(directory.c_str(), F_OK) != 0);
}

TEST_CASE("a mount of the pod at the path of an image's volume wins") {
  Daemon& daemon = Daemon::Shared();
  const std::string host = daemon.dir() + "/over";
  REQUIRE(base::MakeDirs(host, 0755).ok());
  REQUIRE(base::WriteFileAtomic(host + "/file", "pod", 0644).ok());
  Pod pod(daemon);
  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    UseImage(config);
    v1::Mount* mount = config.add_mounts();
    mount->set_host_path(host);
    mount->set_container_path("/x/../over/");
  });
  CHECK(Sh(pod, container, "cat /over/file; grep -c ' /over ' /proc/mounts") == "pod1\n");
}

TEST_CASE("a container engine in a container has its overlays in a volume of its image") {
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  const std::string container = pod.Run({"sleep", "1000"}, [](v1::ContainerConfig& config) {
    UseImage(config);
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
  });
  CHECK(
      Sh(pod, container,
         "cd /missing && mkdir lower upper work merged && echo one >lower/file && mount -t overlay "
         "-o lowerdir=lower,upperdir=upper,workdir=work overlay merged && echo two >>merged/file "
         "&& cat merged/file lower/file && umount merged") == "one\ntwo\none\n");
}

TEST_CASE("in a user namespace an image's volumes belong to the container's own ids") {
  Pod pod(Daemon::Shared(), OwnUsers);
  const std::string container = pod.Run({"sleep", "1000"}, UseImage);
  CHECK(Sh(pod, container, "touch /seeded/new && stat -c %u /seeded /seeded/file /seeded/new") ==
        "0\n0\n0\n");
}
