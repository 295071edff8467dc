// Checks of single fields that several files of this directory need. Pure, thread-safe. `field` is
// what a message calls the field: for what a user writes in a manifest, the manifest's word, as
// that user reads it in `kubectl describe` ("volumeMounts[2].hostPath"); for the rest, the
// request's.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::spec {

// kInvalidArgument "<field> \"<value>\": <why>"; the value is escaped and cut to 200 bytes.
absl::Status Invalid(absl::string_view field, absl::string_view value, absl::string_view why);
absl::Status Invalid(absl::string_view field, int64_t value, absl::string_view why);

// A NUL, a newline or any other of the ASCII control characters.
bool HasControl(absl::string_view text);

// Text that crispd writes as one line of a file or a message: at most `max_bytes`, no control
// characters.
absl::Status CheckText(absl::string_view field, absl::string_view text, size_t max_bytes);

// The name of a pod, a namespace, a container, or a pod's uid: a word of up to 255 bytes.
absl::Status CheckName(absl::string_view field, absl::string_view name);

// "/a//b/./c/" -> "/a/b/c". kInvalidArgument for a relative path, for ".." and control characters
// in it, and for PATH_MAX bytes or more.
absl::StatusOr<std::string> CleanAbsolute(absl::string_view field, absl::string_view path);
// The same for "a/b".
absl::StatusOr<std::string> CleanRelative(absl::string_view field, absl::string_view path);
// The same for a path that is resolved inside the container's root: "/app/../data" -> "/data", as
// Kubernetes' validation of mountPath and devicePath lets through.
absl::StatusOr<std::string> CleanInside(absl::string_view field, absl::string_view path);

// Both clean and absolute. False for the directory itself.
bool IsBelow(absl::string_view path, absl::string_view directory);

// A group without a user to be of. "runAsGroup 2000 needs runAsUser".
absl::Status GroupNeedsUser(int64_t group);

// User and group ids are int64 in CRI: only 0..2^31-1 are valid (CVE-2024-40635).
absl::Status CheckId(absl::string_view field, int64_t id);

}  // namespace crisp::spec
