// One HTTP exchange at a time over libcurl, streaming, bounded, interruptible. Knows nothing of
// registries: no redirects are followed, no credentials added, no retries made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "image/pull_context.h"
#include "image/url.h"

namespace crisp::image {

// What a transfer must keep up to count as alive: `bytes` in every `window`. Time the reader of the
// body spends does not count.
struct HttpPace {
  absl::Duration window;
  int64_t bytes;
};

// Added to the system's certificate authorities. Files are read at each connection.
struct HttpTls {
  std::string ca_pem;
  std::string client_cert_file;  // PEM; empty: none
  std::string client_key_file;   // empty: in client_cert_file
  bool skip_verify = false;
};

struct HttpRequest {
  std::string method = "GET";  // GET, HEAD or POST
  Url url;
  std::vector<std::string> headers;  // "Name: value", no control characters
  std::string form;                  // body of a POST
  HttpTls tls;
  absl::Duration connect_timeout = absl::Seconds(30);
  bool allow_link_local = false;
  size_t max_body_bytes = 1 << 20;  // of a body that is returned
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case, repeated ones joined by ", "
  std::string body;  // of a 2xx without reader: whole; of others: at most the first 8 KiB

  // Empty when absent; `name` in lower case.
  absl::string_view Header(const std::string& name) const;
};

// Takes the body of a 2xx answer as it arrives.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  virtual absl::Status Start(const HttpResponse& head) = 0;
  virtual absl::Status Read(absl::string_view bytes) = 0;
};

// Keeps its connections for the next request. Used by one thread at a time.
class HttpClient {
 public:
  explicit HttpClient(HttpPace pace);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any HTTP status is a response. Errors: kUnavailable (connection, broken off, too slow),
  // kFailedPrecondition (certificates), kInvalidArgument (headers or body over the limit), those of
  // `context` and of `reader`.
  absl::StatusOr<HttpResponse> Perform(const HttpRequest& request, const PullContext& context,
                                       BodyReader* reader = nullptr);

 private:
  struct Curl;
  const HttpPace pace_;
  std::unique_ptr<Curl> curl_;
};

}  // namespace crisp::image
