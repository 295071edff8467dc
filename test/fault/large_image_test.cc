// An image as large as those of machine learning: 2 GB in 200,000 files.
#include <stdio.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "fakes/evil_registry.h"
#include "fakes/tar_builder.h"
#include "fault/amount.h"
#include "fault/times.h"
#include "image_fixture.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;
using Images = v1::ImageService::Stub;

namespace {

constexpr int kLayers = 16;
constexpr size_t kFileBytes = 10'000;
constexpr int kPullSeconds = 600;

// Files f<layer>/<n>, each of which begins with its own name.
std::string LayerOf(int layer, int files) {
  snapshot::TarBuilder tar;
  tar.Dir(absl::StrCat("f", layer));
  for (int i = 0; i < files; ++i) {
    const std::string name = absl::StrCat("f", layer, "/", i);
    std::string body = name + "\n";
    body.resize(kFileBytes, 'x');
    tar.File(name, body);
  }
  return snapshot::Gzip(tar.Done());
}

size_t Layers(Daemon& daemon) {
  return base::ListDir(daemon.root() + "/snapshots/layers").value().size();
}

}  // namespace

TEST_CASE("an image of 2 GB in 200,000 files is pulled, mounted, read and removed") {
  const int files = Amount(1'250, 12'500);  // of each layer
  image::EvilRegistry registry;
  std::vector<std::string> layers;
  for (int i = 0; i < kLayers; ++i) layers.push_back(LayerOf(i, files));
  image::Serve(registry, image::MakeImage(std::move(layers)), "v1", "large");
  const std::string image = registry.host() + "/large:v1";

  Daemon daemon;
  Pod pod(daemon);
  daemon.Pull(kBusybox);
  const size_t before = Layers(daemon);
  Times pull;
  v1::PullImageRequest request;
  request.mutable_image()->set_image(image);
  v1::PullImageResponse response;
  pull.Take([&] {
    daemon.Check(daemon.Try(daemon.images(), &Images::PullImage, request, &response, kPullSeconds));
  });
  printf("%d files of %zu bytes: pulled in %.1f s\n", kLayers * files, kFileBytes,
         absl::ToDoubleSeconds(pull.Quantile(1)));
  CHECK(Layers(daemon) == before + kLayers);

  const std::string container = pod.Run({"sleep", "1000"}, [&](v1::ContainerConfig& config) {
    v1::Mount* mount = config.add_mounts();
    mount->set_container_path("/volume");
    mount->set_readonly(true);
    mount->mutable_image()->set_image(image);
  });
  const auto shell = [&](const std::string& script) {
    const ExecResult result = pod.Exec(container, {"sh", "-c", script}, 120);
    INFO(result.err);
    CHECK(result.exit_code == 0);
    return result.out;
  };
  CHECK(shell("find /volume -type f | wc -l") == absl::StrCat(kLayers * files, "\n"));
  CHECK(shell("find /volume -type f -size +9999c -size -10001c | wc -l") ==
        absl::StrCat(kLayers * files, "\n"));
  CHECK(shell("head -n 1 /volume/f0/0 /volume/f15/1249 | grep -c '^f[0-9]*/[0-9]*$'") == "2\n");

  pod.StopContainer(container, 0);
  pod.RemoveContainer(container);
  v1::RemoveImageRequest remove;
  remove.mutable_image()->set_image(image);
  daemon.Call(daemon.images(), &Images::RemoveImage, remove);
  CHECK(Layers(daemon) == before);
}
