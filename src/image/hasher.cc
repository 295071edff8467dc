#include "image/hasher.h"

#include <openssl/evp.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace crisp::image {
namespace {

// OpenSSL fails here only when memory is gone.
void Require(bool ok) {
  if (!ok) abort();
}

}  // namespace

void Hasher::FreeContext::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Hasher::Hasher(const oci::Digest& like)
    : context_(EVP_MD_CTX_new()), algorithm_(like.algorithm() == "sha512" ? "sha512" : "sha256") {
  const EVP_MD* type = algorithm_ == "sha512" ? EVP_sha512() : EVP_sha256();
  Require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), type, nullptr) == 1);
}

void Hasher::Update(absl::string_view bytes) {
  Require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

oci::Digest Hasher::Finish() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(context_.get(), bytes, &size) == 1);
  const absl::string_view view(reinterpret_cast<const char*>(bytes), size);
  return *oci::Digest::Parse(absl::StrCat(algorithm_, ":", absl::BytesToHexString(view)));
}

oci::Digest Sha256(absl::string_view bytes) { return DigestOf(bytes, oci::Digest()); }

oci::Digest DigestOf(absl::string_view bytes, const oci::Digest& like) {
  Hasher hasher(like);
  hasher.Update(bytes);
  return hasher.Finish();
}

std::vector<oci::Digest> ChainIds(const std::vector<oci::Digest>& diff_ids) {
  std::vector<oci::Digest> chain;
  for (const oci::Digest& diff_id : diff_ids) {
    chain.push_back(chain.empty() ? diff_id
                                  : Sha256(absl::StrCat(chain.back().str(), " ", diff_id.str())));
  }
  return chain;
}

}  // namespace crisp::image
