// Container Device Interface (github.com/cncf-tags/container-device-interface, SPEC.md 1.0.0):
// devices that files on the node describe and that a container requests as "vendor.com/class=name".
// The files come from the node's administrator and its device drivers; they are checked all the
// same. Thread-safe: no shared state.
//
// A device that needs hooks, Intel RDT classes or network devices is refused.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

struct CdiNode {
  std::string path;       // in the container
  std::string host_path;  // empty: the same
  // A member without a value is read from the node on the host.
  std::optional<char> type;
  std::optional<int64_t> major;
  std::optional<int64_t> minor;
  std::optional<uint32_t> file_mode;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::string permissions = "rwm";
};

// Changes to a container.
struct CdiEdits {
  std::vector<std::string> env;
  std::vector<CdiNode> nodes;
  std::vector<oci::Mount> mounts;
  std::vector<uint32_t> additional_gids;
  std::vector<std::string> unsupported;  // "hooks (createContainer /usr/bin/x)"
};

// One file.
struct CdiSpec {
  std::string kind;  // "vendor.com/class"
  CdiEdits edits;    // applied once, with the first of its devices
  std::map<std::string, CdiEdits> devices;
};

// kInvalidArgument for text that is not a CDI specification.
absl::StatusOr<CdiSpec> DecodeCdiSpec(absl::string_view text);
absl::StatusOr<CdiSpec> DecodeCdiYaml(const std::string& text);

// Names in CDI_devices, then those in annotations "cdi.k8s.io/*" (older than the field), each once.
// kInvalidArgument for a name that is not of the form vendor.com/class=name.
absl::StatusOr<std::vector<std::string>> CdiNames(const ::runtime::v1::ContainerConfig& config);

// kFailedPrecondition when a node on the host is missing.
absl::Status ApplyCdi(const CdiEdits& edits, bool privileged, oci::Spec& spec);

}  // namespace crisp::spec
