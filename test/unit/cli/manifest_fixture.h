// Manifests from text, and a machine and a run of a pod that are the same in every test.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"

namespace crisp::cli {

// One line per problem.
inline std::string Refusal(const std::string& text) {
  Manifest manifest;
  Problems problems;
  DecodeManifest("pod.yaml", text, manifest, problems);
  CheckReferences(manifest, problems);
  return absl::StrJoin(problems.Lines(), "\n");
}

inline Manifest Decoded(const std::string& text) {
  CHECK(Refusal(text) == "");
  Manifest manifest;
  Problems problems;
  DecodeManifest("pod.yaml", text, manifest, problems);
  return manifest;
}

// A pod of one container, which has line 7; `spec` follows on line 9, indented by two.
inline std::string PodText(const std::string& spec) {
  return absl::StrCat(
      "apiVersion: v1\n"
      "kind: Pod\n"
      "metadata:\n"
      "  name: p\n"
      "spec:\n"
      "  containers:\n"
      "  - name: c\n"
      "    image: i:1\n",
      spec);
}

inline Pod PodOf(const std::string& spec) { return Decoded(PodText(spec)).pods.at(0); }

inline absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

inline Node TestNode() {
  Node node;
  node.name = "node1";
  node.ips = {"192.0.2.1"};
  node.has_cgroup2 = true;
  node.has_swap_accounting = true;
  node.cpus = 4;
  node.memory_bytes = int64_t{8} << 30;
  node.storage_bytes = int64_t{100} << 30;
  node.huge_page_sizes = {"2MB", "1GB"};
  node.thermal_throttle = {"/sys/devices/system/cpu/cpu0/thermal_throttle"};
  node.resolv_conf = "# ours\nnameserver 192.0.2.53\nsearch example.com.\noptions edns0\n";
  node.hosts = "127.0.0.1\tlocalhost\n";
  return node;
}

inline PodInstance TestInstance(const Pod& pod) {
  const std::string name = absl::StrCat(pod.metadata.namespace_, "_", pod.metadata.name);
  PodInstance instance;
  instance.uid = "00000000-0000-4000-8000-000000000001";
  instance.directory = absl::StrCat("/run/crisp/play/", name);
  instance.disk_directory = absl::StrCat("/var/lib/crisp/play/", name);
  instance.ips = {"10.88.0.5"};
  return instance;
}

}  // namespace crisp::cli
