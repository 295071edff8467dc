#include "digest/hasher.h"

#include <openssl/evp.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace crisp::digest {
namespace {

// These calls of OpenSSL fail only when memory is exhausted.
void Require(bool ok) {
  if (!ok) abort();
}

}  // namespace

void Hasher::FreeContext::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Hasher::Hasher(Algorithm algorithm) : algorithm_(algorithm), context_(EVP_MD_CTX_new()) {
  const EVP_MD* type = algorithm == Algorithm::kSha512 ? EVP_sha512() : EVP_sha256();
  Require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), type, nullptr) == 1);
}

void Hasher::Update(absl::string_view bytes) {
  Require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Hasher::Finish() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(context_.get(), bytes, &size) == 1);
  const absl::string_view view(reinterpret_cast<const char*>(bytes), size);
  return absl::StrCat(algorithm_ == Algorithm::kSha512 ? "sha512:" : "sha256:",
                      absl::BytesToHexString(view));
}

std::string Sha256(absl::string_view bytes) {
  Hasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

std::string ChainId(absl::string_view parent, absl::string_view diff_id) {
  if (parent.empty()) return std::string(diff_id);
  return Sha256(absl::StrCat(parent, " ", diff_id));
}

}  // namespace crisp::digest
