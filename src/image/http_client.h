// One HTTP exchange at a time over libcurl: streaming, bounded, cancellable. Does not follow
// redirects, add credentials or retry; registry.h does.
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
#include "base/call.h"
#include "base/deadline.h"
#include "image/url.h"

namespace crisp::image {

// The minimum speed of a transfer: `bytes` in every `window`. Time that the reader of the body
// takes does not count.
struct HttpPace {
  absl::Duration window;
  int64_t bytes;
};

// PEM files, read at each connection.
struct ClientCertificate {
  std::string cert_file;  // with the chain, if the server needs it
  std::string key_file;   // empty: in cert_file

  friend bool operator==(const ClientCertificate&, const ClientCertificate&) = default;
};

struct HttpTls {
  std::string ca_pem;  // in addition to the certificate authorities of the system
  // A server that names authorities gets the first certificate that one of them has signed. It gets
  // the first of all if it names none, or none of these.
  std::vector<ClientCertificate> clients;
  bool skip_verify = false;
  bool skip_verify_only_here = false;  // and where else the host leads its certificate is checked

  // For another host than the one that these are the settings of.
  void GoElsewhere();
};

struct HttpRequest {
  std::string method = "GET";  // GET, HEAD or POST
  Url url;
  std::vector<std::string> headers;  // "Name: value", no control characters
  std::string form;                  // body of a POST
  HttpTls tls;
  absl::Duration connect_timeout = absl::Seconds(30);
  bool allow_link_local = false;
  // The caller checks the digest of the body, which may be read on the way, but not changed. The
  // client itself does not look at this; redirects.h does.
  bool digest_decides = false;
  // Bodies are always asked for as they are. This is for a server that compresses them all the same
  // (Content-Encoding: gzip): the body is what was compressed. Other encodings are
  // kInvalidArgument.
  bool decode_gzip = false;
  size_t max_body_bytes = 1 << 20;  // of a body without reader
  // When the answer must have begun, unless the window of the client's pace ends later. A registry
  // may itself have to fetch first what it is asked for.
  base::Deadline answer_by = base::Deadline::At(0);
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case, repeated ones joined by ", "
  std::string body;  // complete for 2xx without reader, else at most the first 8 KiB

  // Empty when absent; `name` in lower case.
  absl::string_view Header(const std::string& name) const;
  // For messages about a body that is not what was asked for: says if it is a page, as of a login
  // or of a proxy; else empty.
  std::string PageWords() const;
  // Whether Content-Encoding says so.
  bool IsGzip() const;
};

// Receives the body of a 2xx answer as it arrives.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  virtual absl::Status Start(const HttpResponse& head) = 0;
  virtual absl::Status Read(absl::string_view bytes) = 0;
};

// Keeps connections open for the next request. Not thread-safe: one thread at a time.
class HttpClient {
 public:
  explicit HttpClient(HttpPace pace);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // A response with any HTTP status is OK. Errors: kUnavailable (cannot connect, connection broken,
  // too slow), kFailedPrecondition (certificates), kInvalidArgument (headers or body too large),
  // kDataLoss (damaged gzip), and those of `call` and `reader`.
  absl::StatusOr<HttpResponse> Perform(const HttpRequest& request, const base::Call& call,
                                       BodyReader* reader = nullptr);

 private:
  struct Curl;
  const HttpPace pace_;
  std::unique_ptr<Curl> curl_;
};

}  // namespace crisp::image
