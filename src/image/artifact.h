// Fetches a document that a registry has as an OCI artifact: a manifest that says what it is, and
// one layer, which is the document as it is (image-spec manifest.md, "Guidelines for Artifact
// Usage"). Thread-safe.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "base/call.h"
#include "image/credentials.h"
#include "image/pull_options.h"
#include "oci/reference.h"

namespace crisp::image {

struct ArtifactRequest {
  oci::Reference reference;  // with a digest
  Credentials credentials;
  std::string type;      // the media type of its config or, if that is empty, its artifactType
  size_t max_bytes = 0;  // of the document
};

// Blocks. kInvalidArgument when the registry has something else by that digest: it will not change.
// Other errors as of Puller::Pull (image/puller.h); bad hosts.toml are kFailedPrecondition.
absl::StatusOr<std::string> FetchArtifact(const ArtifactRequest& request,
                                          const PullOptions& options, const base::Call& call);

}  // namespace crisp::image
