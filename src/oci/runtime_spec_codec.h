// config.json of a bundle: oci::Spec <-> JSON text. What the structs do not carry (hooks, rdma,
// ...) is neither written nor read, except that a hook is refused: running a container without the
// hook it asks for would be a lie. Pure; thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/runtime_spec.h"

namespace crisp::oci {

// kInvalidArgument naming what is wrong: syntax, a type, a missing member, a number out of range.
// Unknown members are ignored, as the specification asks.
absl::StatusOr<Spec> DecodeRuntimeSpec(absl::string_view text);

// The same without linux.seccomp, which is most of a container's text and of the time to read it:
// for who applies the compiled filter.
absl::StatusOr<Spec> DecodeRuntimeSpecWithoutSeccomp(absl::string_view text);

// Text runc and crun accept too; absent members are left out. Bytes that are not UTF-8 are
// replaced.
std::string EncodeRuntimeSpec(const Spec& spec);

}  // namespace crisp::oci
