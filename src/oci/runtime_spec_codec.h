// config.json of a bundle: oci::Spec <-> JSON text. Members that the structs do not have (rdma,
// ...) are ignored. Hooks are refused: a container must not run without the hooks its spec has.
// Pure, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/runtime_spec.h"

namespace crisp::oci {

// kInvalidArgument naming what is wrong: syntax, a type, a missing member, a number out of range.
// Unknown members are ignored, as the specification asks.
absl::StatusOr<Spec> DecodeRuntimeSpec(absl::string_view text);

// The same without linux.seccomp, for the shim, which reads the compiled filter from seccomp.bpf.
// The profile is most of the text and of the time to parse it.
absl::StatusOr<Spec> DecodeRuntimeSpecWithoutSeccomp(absl::string_view text);

// Text that runc and crun accept too. Absent members are left out. Bytes that are not UTF-8 are
// kept in the environment, for Decode; elsewhere they are replaced.
std::string EncodeRuntimeSpec(const Spec& spec);

// The part of it that a process needs which is added to the container: process without its
// arguments, namespaces and mappings. For each exec, of which there may be forty a second, to parse
// the whole would take longer than the rest of its preparation.
std::string EncodeExecSpec(const Spec& spec);
absl::StatusOr<Spec> DecodeExecSpec(absl::string_view text);

}  // namespace crisp::oci
