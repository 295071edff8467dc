// Image references: the grammar of the distribution project (distribution/reference) and Docker's
// normalisation, as kubelet, containerd and crictl users expect it:
//   busybox                 -> docker.io/library/busybox:latest
//   localhost:5000/a/b:v1   -> localhost:5000/a/b:v1
//   quay.io/a:v1@sha256:..  -> quay.io/a@sha256:..      (the tag is dropped, as containerd does)
// Immutable value, thread-compatible; a Reference has exactly one of tag and digest.
#pragma once

#include <compare>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/digest.h"

namespace crisp::oci {

class Reference {
 public:
  // kInvalidArgument with the text (shortened) and what is wrong with it. 64 hex digits are
  // refused: they are an image id.
  static absl::StatusOr<Reference> Parse(absl::string_view text);

  // Registry host with optional port: "docker.io", "localhost:5000", "[::1]:5000".
  const std::string& host() const { return host_; }
  // Repository within the registry: "library/busybox".
  const std::string& path() const { return path_; }
  const std::string& tag() const { return tag_; }
  const Digest& digest() const { return digest_; }

  // "docker.io/library/busybox".
  std::string Name() const;
  // The tag or the digest, as in the URL of the manifest.
  const std::string& Object() const { return digest_.empty() ? tag_ : digest_.str(); }
  // Canonical form: "<name>:<tag>" or "<name>@<digest>".
  std::string ToString() const;
  // The same repository with `digest` in place of the tag or digest.
  Reference WithDigest(Digest digest) const;

  friend auto operator<=>(const Reference&, const Reference&) = default;

 private:
  std::string host_;
  std::string path_;
  std::string tag_;
  Digest digest_;
};

}  // namespace crisp::oci
