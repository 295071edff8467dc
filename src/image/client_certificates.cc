#include "image/client_certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::image {
namespace {

constexpr size_t kMaxPem = 1 << 20;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
};
template <typename T>
using Unique = std::unique_ptr<T, Free>;

// A certificate, the ones between it and its authority, and its key.
struct Identity {
  Unique<X509> certificate;
  Unique<STACK_OF(X509)> chain;
  Unique<EVP_PKEY> key;
};
using Identities = std::vector<Identity>;

// crispd has nobody to ask for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

Unique<BIO> Reader(const std::string& text) {
  return Unique<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::Status Unusable(const std::string& file, const char* why) {
  ERR_clear_error();
  return absl::FailedPreconditionError(absl::StrCat("client certificate ", file, ": ", why));
}

absl::StatusOr<std::string> ReadPem(const std::string& file) {
  absl::StatusOr<std::string> pem = base::ReadFile(file, kMaxPem);
  if (pem.ok()) return pem;
  return absl::FailedPreconditionError(
      absl::StrCat("client certificate: ", pem.status().message()));
}

absl::StatusOr<Identity> Read(const ClientCertificate& files) {
  const std::string& key_file = files.key_file.empty() ? files.cert_file : files.key_file;
  CRISP_ASSIGN_OR_RETURN(const std::string pem, ReadPem(files.cert_file));
  CRISP_ASSIGN_OR_RETURN(const std::string key_pem, ReadPem(key_file));
  Identity identity;
  const Unique<BIO> certificates = Reader(pem);
  identity.certificate.reset(PEM_read_bio_X509(certificates.get(), nullptr, NoPassphrase, nullptr));
  if (identity.certificate == nullptr) return Unusable(files.cert_file, "has no PEM certificate");
  identity.chain.reset(sk_X509_new_null());
  while (X509* const next = PEM_read_bio_X509(certificates.get(), nullptr, NoPassphrase, nullptr)) {
    sk_X509_push(identity.chain.get(), next);
  }
  identity.key.reset(
      PEM_read_bio_PrivateKey(Reader(key_pem).get(), nullptr, NoPassphrase, nullptr));
  if (identity.key == nullptr) return Unusable(key_file, "has no PEM key without a passphrase");
  if (X509_check_private_key(identity.certificate.get(), identity.key.get()) != 1)
    return Unusable(key_file, "is not the key of the certificate");
  ERR_clear_error();  // the end of the file is an error for the loop above
  return identity;
}

void FreeIdentities(void*, void* identities, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Identities*>(identities);
}

// Where a context keeps its identities, until it is freed itself.
int Slot() {
  static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, FreeIdentities);
  return slot;
}

// Called when a server has asked for a certificate.
int Choose(SSL* session, void*) {
  const auto* identities =
      static_cast<const Identities*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(session), Slot()));
  for (const Identity& identity : *identities) {
    X509* const certificate = identity.certificate.get();
    EVP_PKEY* const key = identity.key.get();
    STACK_OF(X509)* const chain = identity.chain.get();
    if ((SSL_check_chain(session, certificate, key, chain) & CERT_PKEY_ISSUER_NAME) == 0) continue;
    // Otherwise OpenSSL may still take the first one, if its key is of another type.
    SSL_certs_clear(session);
    return SSL_use_cert_and_key(session, certificate, key, chain, /*override=*/1);
  }
  return 1;
}

}  // namespace

absl::Status ChooseClientCertificate(void* context,
                                     const std::vector<ClientCertificate>& certificates) {
  auto* const tls = static_cast<SSL_CTX*>(context);
  auto identities = std::make_unique<Identities>();
  for (const ClientCertificate& files : certificates) {
    CRISP_ASSIGN_OR_RETURN(Identity identity, Read(files));
    identities->push_back(std::move(identity));
  }
  if (SSL_CTX_set_ex_data(tls, Slot(), identities.get()) != 1)
    return absl::ResourceExhaustedError("no memory for client certificates");
  (void)identities.release();  // the context's
  SSL_CTX_set_cert_cb(tls, Choose, nullptr);
  return absl::OkStatus();
}

}  // namespace crisp::image
