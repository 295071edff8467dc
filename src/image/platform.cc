#include "image/platform.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace crisp::image {
namespace {

using Machine = std::pair<std::string, std::string>;  // architecture, variant

// One spelling for each machine, normalised as by containerd's platforms package.
Machine Normalised(const oci::Platform& platform) {
  std::string architecture = absl::AsciiStrToLower(platform.architecture);
  std::string variant = absl::AsciiStrToLower(platform.variant);
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
  if (!IsLinux(*platform)) return kCannotRun;
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

std::vector<oci::IndexEntry> RunnableManifests(const oci::Index& index, const oci::Platform& host) {
  const std::vector<Machine> machines = RunnableOn(host);
  std::multimap<size_t, const oci::IndexEntry*> by_rank;  // keeps the order of equals
  for (const oci::IndexEntry& entry : index.manifests) {
    const size_t rank = Rank(entry.platform, machines);
    if (rank != kCannotRun) by_rank.emplace(rank, &entry);
  }
  std::vector<oci::IndexEntry> ranked;
  for (const auto& [rank, entry] : by_rank) ranked.push_back(*entry);
  return ranked;
}

bool IsLinux(const oci::Platform& platform) {
  return platform.os.empty() || absl::EqualsIgnoreCase(platform.os, "linux");
}

bool CanRun(const oci::Platform& image, const oci::Platform& host) {
  if (!IsLinux(image)) return false;
  if (image.architecture.empty()) return true;
  const Machine machine = Normalised(image);
  for (const Machine& runnable : RunnableOn(host)) {
    // Builders fill in the architecture with more care than the variant.
    if (runnable.first == machine.first) return true;
  }
  return false;
}

}  // namespace crisp::image
