// Digests of content (OpenSSL) and the chain ids made from them.
#pragma once

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "oci/digest.h"

struct evp_md_ctx_st;

namespace crisp::image {

// Incremental; used by one thread.
class Hasher {
 public:
  // Hashes with the algorithm of `like`.
  explicit Hasher(const oci::Digest& like);
  void Update(absl::string_view bytes);
  // Ends the hasher's life: nothing may follow.
  oci::Digest Finish();

 private:
  struct FreeContext {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, FreeContext> context_;
  std::string algorithm_;
};

oci::Digest Sha256(absl::string_view bytes);
// With the algorithm of `like`.
oci::Digest DigestOf(absl::string_view bytes, const oci::Digest& like);

// Chain ids of a stack of layers given by diff id, base first (image-spec config.md, "Layer
// ChainID").
std::vector<oci::Digest> ChainIds(const std::vector<oci::Digest>& diff_ids);

}  // namespace crisp::image
