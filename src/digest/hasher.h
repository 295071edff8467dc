// Content digests in the text form of the OCI image specification (descriptor.md, "Digests"):
// "sha256:<64 lower-case hex>". The only user of OpenSSL.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace crisp::digest {

enum class Algorithm { kSha256, kSha512 };

// Incremental. Not thread-safe: one thread at a time.
class Hasher {
 public:
  explicit Hasher(Algorithm algorithm = Algorithm::kSha256);

  void Update(absl::string_view bytes);
  // "<algorithm>:<hex>" of everything given to Update. Call it once, last.
  std::string Finish();

 private:
  struct FreeContext {
    void operator()(evp_md_ctx_st* context) const;
  };
  Algorithm algorithm_;
  std::unique_ptr<evp_md_ctx_st, FreeContext> context_;
};

// Of text that is in memory. Thread-safe.
std::string Sha256(absl::string_view bytes);

// The chain id of a layer: `diff_id` for the lowest layer (empty `parent`), else the digest of
// "<parent chain id> <diff id>" (image-spec config.md, "Layer ChainID"). Thread-safe.
std::string ChainId(absl::string_view parent, absl::string_view diff_id);

}  // namespace crisp::digest
