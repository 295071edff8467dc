#include "fakes/tls_server.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>

namespace crisp::image {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
template <typename T>
using Unique = std::unique_ptr<T, Free>;

void Must(bool condition) {
  if (!condition) abort();
}

std::string TextOf(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return std::string(text, static_cast<size_t>(size));
}

Unique<BIO> Reader(const std::string& text) {
  return Unique<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

void AddAddress(X509* certificate) {
  char address[] = "IP:127.0.0.1";
  const Unique<X509_EXTENSION> name(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, address));
  Must(X509_add_ext(certificate, name.get(), -1) == 1);
}

}  // namespace

TlsIdentity MakeTlsIdentity(const std::string& text) {
  constexpr long kHour = 3600;
  const Unique<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Unique<X509> certificate(X509_new());
  X509* const x509 = certificate.get();
  X509_NAME* const name = X509_get_subject_name(x509);
  const auto* const common = reinterpret_cast<const unsigned char*>(text.c_str());
  Must(X509_set_version(x509, X509_VERSION_3) == 1 &&
       ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1 &&
       X509_gmtime_adj(X509_getm_notBefore(x509), -kHour) != nullptr &&
       X509_gmtime_adj(X509_getm_notAfter(x509), 24 * kHour) != nullptr &&
       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0) == 1 &&
       X509_set_issuer_name(x509, name) == 1 && X509_set_pubkey(x509, key.get()) == 1);
  AddAddress(x509);
  Must(X509_sign(x509, key.get(), EVP_sha256()) > 0);
  const Unique<BIO> out_certificate(BIO_new(BIO_s_mem()));
  const Unique<BIO> out_key(BIO_new(BIO_s_mem()));
  Must(PEM_write_bio_X509(out_certificate.get(), x509) == 1 &&
       PEM_write_bio_PKCS8PrivateKey(out_key.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                     nullptr) == 1);
  return {TextOf(out_certificate.get()), TextOf(out_key.get())};
}

UniqueTlsContext MakeTlsContext(const TlsIdentity& own, const std::vector<std::string>& accepted) {
  UniqueTlsContext context(SSL_CTX_new(TLS_server_method()));
  const Unique<X509> certificate(
      PEM_read_bio_X509(Reader(own.certificate).get(), nullptr, nullptr, nullptr));
  const Unique<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(Reader(own.key).get(), nullptr, nullptr, nullptr));
  Must(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1 &&
       SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
  for (const std::string& pem : accepted) {
    const Unique<X509> authority(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
    Must(SSL_CTX_add_client_CA(context.get(), authority.get()) == 1);
  }
  // A session that is taken up again would show the certificate of its first connection.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

UniqueTlsSession AcceptTls(SSL_CTX& context, int fd) {
  UniqueTlsSession session(SSL_new(&context));
  Must(session != nullptr && SSL_set_fd(session.get(), fd) == 1);
  if (SSL_accept(session.get()) != 1) session.reset();
  return session;
}

std::string ClientName(const SSL& session) {
  X509* const certificate = SSL_get0_peer_certificate(&session);
  if (certificate == nullptr) return "";
  char name[256] = "";
  Must(X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                 sizeof(name)) > 0);
  return name;
}

}  // namespace crisp::image
