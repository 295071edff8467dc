#include "bench/pulls.h"

#include <algorithm>
#include <random>
#include <stdexcept>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "bench/interrupt.h"
#include "fakes/evil_registry.h"
#include "fakes/tar_builder.h"
#include "image_fixture.h"
#include "linux/spawn.h"

namespace crisp::bench {
namespace {

namespace v1 = ::runtime::v1;
using Images = v1::ImageService::Stub;

constexpr int kPullSeconds = 600;
constexpr size_t kFileBytes = 256 << 10;

// Text of words from a small dictionary, which gzip makes about a third of, as it does of programs.
std::string Text(std::mt19937& random, size_t bytes) {
  static const std::vector<std::string> words = [] {
    std::mt19937 letters(1);
    std::vector<std::string> made(4096);
    for (std::string& word : made) {
      word.resize(3 + letters() % 9);
      for (char& c : word) c = static_cast<char>('!' + letters() % 90);
    }
    return made;
  }();
  std::string text;
  while (text.size() < bytes) absl::StrAppend(&text, words[random() % words.size()], " ");
  text.resize(bytes);
  return text;
}

std::string Layer(int seed, size_t bytes) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  snapshot::TarBuilder tar;
  const std::string directory = absl::StrCat("d", seed);
  tar.Dir(directory);
  for (size_t done = 0, file = 0; done < bytes; done += kFileBytes, ++file)
    tar.File(absl::StrCat(directory, "/", file), Text(random, std::min(kFileBytes, bytes - done)));
  return snapshot::Gzip(tar.Done(), 6);
}

// Without it, containerd takes a registry on loopback for one with TLS.
void AllowHttp(const Peer& peer, const std::string& host) {
  if (peer.certs.empty()) return;
  const std::string directory = base::JoinPath(peer.certs, host);
  const std::string text =
      absl::StrCat("server = \"http://", host, "\"\n[host.\"http://", host, "\"]\n");
  const absl::Status made = base::MakeDirs(directory, 0755);
  if (!made.ok() || !base::WriteFileAtomic(directory + "/hosts.toml", text, 0644).ok())
    throw std::runtime_error("write hosts.toml");
}

double DiskMebibytes(const std::string& directory) {
  const auto result = linux::Run({"/usr/bin/du", {"du", "-skx", directory}, {}}, "", {});
  int64_t kibibytes = 0;
  if (!result.ok() || !absl::SimpleAtoi(result->out.substr(0, result->out.find('\t')), &kibibytes))
    throw std::runtime_error("du " + directory);
  return static_cast<double>(kibibytes) / 1024;
}

void Pull(const Peer& peer, const std::string& image, Figure figure, size_t runtime,
          Results& results) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image(image);
  v1::PullImageResponse response;
  test::Endpoint& endpoint = *peer.endpoint;
  const int64_t begin = base::MonotonicNanos();
  endpoint.Check(
      endpoint.Try(endpoint.images(), &Images::PullImage, request, &response, kPullSeconds));
  results.Add(figure, runtime, static_cast<double>(base::MonotonicNanos() - begin) / 1e6);
}

void Remove(const Peer& peer, const std::string& image) {
  v1::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  (void)peer.endpoint->Call(peer.endpoint->images(), &Images::RemoveImage, request);
}

}  // namespace

void MeasurePulls(const std::vector<Peer>& peers, int mebibytes, int rounds, Results& results) {
  constexpr int kLayers = 10;
  const size_t bytes = static_cast<size_t>(mebibytes) << 20;
  image::EvilRegistry registry;
  std::vector<std::string> layers;
  for (int i = 0; i < kLayers; ++i) layers.push_back(Layer(i, bytes / kLayers));
  image::Serve(registry, image::MakeImage(std::move(layers)), "v1", "layers");
  image::Serve(registry, image::MakeImage({Layer(kLayers, bytes)}), "v1", "layer");
  const std::string many = registry.host() + "/layers:v1";
  const std::string one = registry.host() + "/layer:v1";
  for (const Peer& peer : peers) AllowHttp(peer, registry.host());
  for (int round = 0; round < rounds; ++round) {
    for (size_t turn = 0; turn < peers.size(); ++turn) {
      Continue();
      const size_t runtime = round % 2 == 0 ? turn : peers.size() - 1 - turn;
      const Peer& peer = peers[runtime];
      const double before = DiskMebibytes(peer.data);
      Pull(peer, many, Figure::kPullLayers, runtime, results);
      Pull(peer, one, Figure::kPullLayer, runtime, results);
      results.Add(Figure::kDisk, runtime, DiskMebibytes(peer.data) - before);
      Remove(peer, many);
      Remove(peer, one);
    }
  }
}

}  // namespace crisp::bench
