// Which of several client certificates a TLS server gets: libcurl itself has one for all. Needs a
// libcurl that uses OpenSSL. Thread-safe: no shared state.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "image/http_client.h"

namespace crisp::image {

// For CURLOPT_SSL_CTX_FUNCTION, whose `context` it is, an SSL_CTX that has the first of
// `certificates` already: reads all of them, and lets the connections of the context choose as
// HttpTls::clients says. The context keeps what it needs. kFailedPrecondition names a file that is
// not what it should be.
absl::Status ChooseClientCertificate(void* context,
                                     const std::vector<ClientCertificate>& certificates);

}  // namespace crisp::image
