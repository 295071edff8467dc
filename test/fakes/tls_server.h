// The server's side of TLS, for EvilRegistry, and certificates for it and its clients.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

namespace crisp::image {

// A certificate for 127.0.0.1 that signs itself, and its key. Both PEM.
struct TlsIdentity {
  std::string certificate;
  std::string key;
};

// Makes a new one.
TlsIdentity MakeTlsIdentity(const std::string& name = "crisp test");

struct FreeTls {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* session) const { SSL_free(session); }
};
using UniqueTlsContext = std::unique_ptr<SSL_CTX, FreeTls>;
using UniqueTlsSession = std::unique_ptr<SSL, FreeTls>;

// Of a server that asks its clients for a certificate, and takes any one, or none. The authorities
// that it names are these certificates (PEM).
UniqueTlsContext MakeTlsContext(const TlsIdentity& own, const std::vector<std::string>& accepted);

// nullptr when the handshake fails, as with a client that does not trust the server. `fd` stays the
// caller's, and must outlive the session.
UniqueTlsSession AcceptTls(SSL_CTX& context, int fd);

// The name in the certificate that the client has sent; empty: it has sent none.
std::string ClientName(const SSL& session);

}  // namespace crisp::image
