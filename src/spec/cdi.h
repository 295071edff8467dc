// Container Device Interface (github.com/cncf-tags/container-device-interface, SPEC.md 1.0.0):
// devices described by files on the node, asked for as "vendor.com/class=name". The files' authors
// are the node's administrator and its device drivers; the reader trusts nothing.
//
// JSON files only; a directory's *.yaml are not read, and an unknown device's error says so. Hooks,
// Intel RDT classes and network devices are not supported: a device with one is refused.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

struct CdiNode {
  std::string path;       // in the container
  std::string host_path;  // empty: the same
  // What is absent is read from the node on the host.
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
  CdiEdits edits;    // once, with whichever of its devices
  std::map<std::string, CdiEdits> devices;
};

// kInvalidArgument for what is no CDI specification.
absl::StatusOr<CdiSpec> DecodeCdiSpec(absl::string_view text);

// Names in CDI_devices, then those in annotations "cdi.k8s.io/*" (from before CRI had the field),
// each once. kInvalidArgument for what is no qualified name.
absl::StatusOr<std::vector<std::string>> CdiNames(const ::runtime::v1::ContainerConfig& config);

// The edits for these devices, in their order. Read from `directories` at each call, so that
// devices come and go without a restart; a device in a later directory hides one in an earlier.
// kInvalidArgument names a device nobody describes (with the files that could not be read) or two
// files of one directory do; kFailedPrecondition one that needs what crisp does not support.
absl::StatusOr<CdiEdits> ResolveCdi(const std::vector<std::string>& names,
                                    absl::Span<const std::string> directories);

// kFailedPrecondition when a node on the host is missing.
absl::Status ApplyCdi(const CdiEdits& edits, bool privileged, oci::Spec& spec);

}  // namespace crisp::spec
