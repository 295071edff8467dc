// Images in forms that builders write and other runtimes take: pulled, and looked into by a
// container that mounts them. The unit tests of snapshot and image have each form by itself.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fakes/evil_registry.h"
#include "fakes/tar_builder.h"
#include "image_fixture.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using snapshot::Gzip;
using snapshot::TarBuilder;
using snapshot::TarItem;

namespace {

// Pulls an image of these layers; its name. `repository` is one of the test's own, as a later
// registry may have the port of an earlier one.
std::string PullOf(Endpoint& daemon, image::EvilRegistry& registry, const std::string& repository,
                   const std::vector<std::string>& layers) {
  image::Serve(registry, image::MakeImage(layers), "v1", repository);
  const std::string name = absl::StrCat(registry.host(), "/", repository, ":v1");
  daemon.Pull(name);
  return name;
}

// Runs a container of busybox with the image at /volume.
std::string RunWith(Pod& pod, const std::string& image) {
  pod.daemon().Pull(kBusybox);
  return pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    v1::Mount* mount = config.add_mounts();
    mount->set_container_path("/volume");
    mount->set_readonly(true);
    mount->mutable_image()->set_image(image);
  });
}

std::string Shell(Pod& pod, const std::string& container, const std::string& script) {
  const ExecResult result = pod.Exec(container, {"sh", "-c", script});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  return result.out;
}

constexpr char kNoProgram[] = R"(exec: "/no-such-program": no such file or directory (ENOENT))";

}  // namespace

TEST_CASE("an image without layers is an empty volume, and there is nothing in it to run") {
  Pod pod(Daemon::Shared());
  image::EvilRegistry registry;
  const std::string image = PullOf(pod.daemon(), registry, "empty", {});
  const std::string container = RunWith(pod, image);
  CHECK(Shell(pod, container, "ls -A /volume").empty());
  std::string empty;
  const v1::ContainerConfig config = pod.ContainerConfig(
      {"/no-such-program"}, [&](v1::ContainerConfig& of) { of.mutable_image()->set_image(image); });
  REQUIRE(pod.TryCreate(config, &empty).ok());
  CHECK_THROWS_WITH(pod.Start(empty), Catch::Contains(kNoProgram));
}

TEST_CASE("a layer of forms that other runtimes take is pulled with every file") {
  Pod pod(Daemon::Shared());
  image::EvilRegistry registry;
  const auto item = [](const std::string& name, char type, const std::string& link = "") {
    TarItem made;
    made.name = name;
    made.type = type;
    made.link = link;
    return made;
  };
  TarBuilder tar;
  tar.Header('x', "p", TarBuilder::PaxRecord("mtime", "1.5"));
  tar.File("f", std::string(700, 'h'));
  tar.Raw(TarBuilder::Block(item("hard", '1', "f"), 700));
  TarItem owned = item("owned", '0');
  owned.uid = (uint64_t{1} << 32) + 7;
  TarItem fifo = item("fifo", '6');
  TarItem link = item("link", '2', "f");
  fifo.pax = link.pax = {{"SCHILY.xattr.user.foo", "y"}};
  tar.Add(owned).Add(fifo).Add(link);
  tar.Dir("d").File("d/../../up", "up").Hard("d/again", "../d/../f");
  const std::string zeros(100 << 20, '\0');
  const std::string blob = Gzip(tar.File("zeros", zeros).Done(), 9);
  const std::string container = RunWith(pod, PullOf(pod.daemon(), registry, "forms", {blob}));
  CHECK(Shell(pod, container, "ls /volume") == "d\nf\nfifo\nhard\nlink\nowned\nup\nzeros\n");
  CHECK(Shell(pod, container, "cat /volume/up") == "up");
  CHECK(Shell(pod, container, "cd /volume; stat -c '%u %s' owned f hard d/again zeros") ==
        absl::StrCat("7 0\n0 700\n0 700\n0 700\n0 ", zeros.size(), "\n"));
}

TEST_CASE("an image of 300 layers, more than a page of mount options names, is mounted and run") {
  Pod pod(Daemon::Shared());
  image::EvilRegistry registry;
  std::vector<std::string> layers;
  for (int i = 0; i < 300; ++i) {
    layers.push_back(
        TarBuilder().File(absl::StrCat("f", i), "x").File("top", absl::StrCat(i)).Done());
  }
  const std::string image = PullOf(pod.daemon(), registry, "many", layers);
  const std::string container = RunWith(pod, image);
  CHECK(Shell(pod, container, "ls /volume | wc -l; cat /volume/top") == "301\n299");
  // As a root file system: there is no program in it, so that the start comes as far as that.
  std::string created;
  const v1::ContainerConfig config = pod.ContainerConfig(
      {"/no-such-program"}, [&](v1::ContainerConfig& of) { of.mutable_image()->set_image(image); });
  REQUIRE(pod.TryCreate(config, &created).ok());
  CHECK_THROWS_WITH(pod.Start(created), Catch::Contains(kNoProgram));
}
