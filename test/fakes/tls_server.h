// The server's side of TLS, for EvilRegistry, and certificates for it and its clients.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace crisp::image {

// A certificate for 127.0.0.1 that signs itself, and its key. Both PEM.
struct TlsIdentity {
  std::string certificate;
  std::string key;
};

// Makes a new one.
TlsIdentity MakeTlsIdentity();

struct FreeTls {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* session) const { SSL_free(session); }
};
using UniqueTlsContext = std::unique_ptr<SSL_CTX, FreeTls>;
using UniqueTlsSession = std::unique_ptr<SSL, FreeTls>;

// Of a server that asks its clients for a certificate, and takes any one, or none.
UniqueTlsContext MakeTlsContext(const TlsIdentity& own);

// nullptr when the handshake fails, as with a client that does not trust the server. `fd` stays the
// caller's, and must outlive the session.
UniqueTlsSession AcceptTls(SSL_CTX& context, int fd);

bool HasClientCertificate(const SSL& session);

}  // namespace crisp::image
