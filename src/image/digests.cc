#include "image/digests.h"

namespace crisp::image {
namespace {

// Cannot fail: digest/ returns well-formed digests.
oci::Digest Typed(absl::string_view text) { return *oci::Digest::Parse(text); }

}  // namespace

digest::Algorithm AlgorithmOf(const oci::Digest& digest) {
  return digest.algorithm() == "sha512" ? digest::Algorithm::kSha512 : digest::Algorithm::kSha256;
}

oci::Digest Finish(digest::Hasher& hasher) { return Typed(hasher.Finish()); }

oci::Digest Sha256(absl::string_view bytes) { return Typed(digest::Sha256(bytes)); }

oci::Digest DigestOf(absl::string_view bytes, const oci::Digest& like) {
  digest::Hasher hasher(AlgorithmOf(like));
  hasher.Update(bytes);
  return Finish(hasher);
}

std::vector<oci::ChainId> ChainIds(const std::vector<oci::Digest>& diff_ids) {
  std::vector<oci::ChainId> chain;
  for (const oci::Digest& diff_id : diff_ids) {
    chain.emplace_back(digest::ChainId(chain.empty() ? "" : chain.back().str(), diff_id.str()));
  }
  return chain;
}

}  // namespace crisp::image
