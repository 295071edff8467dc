// Digests of image content, computed by digest/, as the types of oci/. Thread-safe.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "digest/hasher.h"
#include "oci/chain_id.h"
#include "oci/digest.h"

namespace crisp::image {

// The algorithm of `digest`; SHA-256 for an empty one.
digest::Algorithm AlgorithmOf(const oci::Digest& digest);
oci::Digest Finish(digest::Hasher& hasher);

oci::Digest Sha256(absl::string_view bytes);
// With the algorithm of `like`.
oci::Digest DigestOf(absl::string_view bytes, const oci::Digest& like);

// Chain ids of a stack of layers given by diff id, base first.
std::vector<oci::ChainId> ChainIds(const std::vector<oci::Digest>& diff_ids);

}  // namespace crisp::image
