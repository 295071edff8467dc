#include "image/platform.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace crisp::image {
namespace {

using Machine = std::pair<std::string, std::string>;  // architecture, variant

// One spelling for each machine, normalised as by containerd's platforms package.
Machine Normalised(const oci::Platform& platform) {
  std::string architecture = platform.architecture;
  std::string variant = platform.variant;
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "i386") architecture = "386";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "armhf") architecture = "arm";
  if (architecture == "armel") return {"arm", "v6"};
  if (!variant.empty() && variant.front() >= '0' && variant.front() <= '9') variant = "v" + variant;
  if (architecture == "amd64" && variant == "v1") variant.clear();
  if (architecture == "arm64" && variant == "v8") variant.clear();
  if (architecture == "arm" && variant.empty()) variant = "v7";
  return {architecture, variant};
}

// The machines whose programs `host` runs, the best first.
std::vector<Machine> RunnableOn(const oci::Platform& host) {
  const Machine own = Normalised(host);
  if (own.first == "amd64") return {own, {"386", ""}};
  if (own.first == "arm64")
    return {own, {"arm", "v8"}, {"arm", "v7"}, {"arm", "v6"}, {"arm", "v5"}};
  if (own.first == "arm") {
    std::vector<Machine> machines;
    for (const char* variant : {"v8", "v7", "v6", "v5"}) {
      if (variant <= own.second) machines.emplace_back("arm", variant);
    }
    return machines;
  }
  return {own};
}

constexpr size_t kCannotRun = SIZE_MAX;

// 0 is best.
size_t Rank(const std::optional<oci::Platform>& platform, const std::vector<Machine>& machines) {
  if (!platform.has_value()) return machines.size();
  if (platform->os != "linux") return kCannotRun;
  const Machine machine = Normalised(*platform);
  for (size_t i = 0; i < machines.size(); ++i) {
    if (machines[i] == machine) return i;
  }
  return kCannotRun;
}

}  // namespace

oci::Platform HostPlatform() {
  oci::Platform platform;
  platform.os = "linux";
#if defined(__x86_64__)
  platform.architecture = "amd64";
#elif defined(__aarch64__)
  platform.architecture = "arm64";
#elif defined(__arm__)
  platform.architecture = "arm";
  platform.variant = "v7";
#elif defined(__riscv)
  platform.architecture = "riscv64";
#elif defined(__s390x__)
  platform.architecture = "s390x";
#elif defined(__powerpc64__)
  platform.architecture = "ppc64le";
#else
#error "add the GOARCH of this architecture"
#endif
  return platform;
}

absl::StatusOr<oci::Descriptor> ChooseManifest(const oci::Index& index, const oci::Platform& host) {
  const std::vector<Machine> machines = RunnableOn(host);
  const oci::Descriptor* best = nullptr;
  size_t best_rank = kCannotRun;
  for (const oci::Descriptor& entry : index.manifests) {
    const size_t rank = Rank(entry.platform, machines);
    if (rank >= best_rank) continue;
    best = &entry;
    best_rank = rank;
  }
  if (best == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no image for platform ", host.os, "/", host.architecture));
  }
  return *best;
}

bool CanRun(const oci::Platform& image, const oci::Platform& host) {
  if (!image.os.empty() && image.os != host.os) return false;
  if (image.architecture.empty()) return true;
  const Machine machine = Normalised(image);
  for (const Machine& runnable : RunnableOn(host)) {
    // Builders fill in the architecture with more care than the variant.
    if (runnable.first == machine.first) return true;
  }
  return false;
}

}  // namespace crisp::image
