// Absolute http(s) URLs, parsed by libcurl's URL API: libcurl also connects to them, so checks and
// connections cannot understand a URL differently. Immutable value, thread-compatible.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::image {

class Url {
 public:
  // kInvalidArgument for another scheme, user info, a fragment, control characters or bad syntax.
  // The message contains neither user info nor a query, which may be secret.
  static absl::StatusOr<Url> Parse(absl::string_view text);
  // `location` of a redirect, absolute or relative to this URL; its fragment is dropped.
  absl::StatusOr<Url> Resolve(absl::string_view location) const;
  // Whether this is plain http at the host of `secure`, which is https, and at the same port or at
  // that of its scheme.
  bool IsPlainOf(const Url& secure) const;
  // The path and query of this URL at the origin of `other`.
  absl::StatusOr<Url> AtOriginOf(const Url& other) const;

  const std::string& text() const { return text_; }
  const std::string& scheme() const { return scheme_; }  // "http" or "https"
  const std::string& host() const { return host_; }      // without port, IPv6 in brackets
  const std::string& port() const { return port_; }      // also if it is the scheme's own
  const std::string& path() const { return path_; }      // begins with '/'
  // "scheme://host:port". Credentials are sent only to their own origin.
  std::string Origin() const;
  // For messages: without the query, which contains secrets in signed links.
  std::string Printable() const;

  bool IsLoopback() const { return IsLoopbackHost(host_); }
  // 169.254.0.0/16 and fe80::/10, where cloud metadata services are.
  bool IsLinkLocal() const;

  // "localhost", 127.0.0.0/8 or [::1]; `host` without port.
  static bool IsLoopbackHost(absl::string_view host);

 private:
  std::string text_;
  std::string scheme_;
  std::string host_;
  std::string port_;
  std::string path_;
};

// For a value in a query or a form.
std::string PercentEncode(absl::string_view text);

}  // namespace crisp::image
