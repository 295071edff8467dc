// Variables and values of fields, as kubelet resolves them. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"

namespace crisp::cli {

// In the order in which they were declared; each name once, with its last value.
using Environment = std::vector<std::pair<std::string, std::string>>;

// "$(NAME)" becomes the variable's value; of a name that is not there it stays as it is. "$$" is
// "$". kInvalidArgument for such a name when `must_exist`.
absl::StatusOr<std::string> Expand(absl::string_view text, const Environment& environment,
                                   bool must_exist);

// envFrom and env. References were checked by CheckReferences; those to nothing are left out when
// they are optional.
Environment EnvironmentOf(const Pod& pod, const Container& container, const Manifest& objects,
                          const PodInstance& instance, const Node& node);

// The value of a fieldRef.
std::string FieldValue(const std::string& path, const Pod& pod, const PodInstance& instance,
                       const Node& node);

// The value of a resourceFieldRef of `container`: what it asked for, or for a limit what the
// machine has.
std::string ResourceValue(const ResourceFieldRef& ref, const Container& container,
                          const Node& node);

}  // namespace crisp::cli
