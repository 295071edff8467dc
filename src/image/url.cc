#include "image/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/printable.h"
#include "image/link_local.h"

namespace crisp::image {
namespace {

constexpr size_t kMaxUrl = 16 << 10;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UniqueUrl = std::unique_ptr<CURLU, FreeUrl>;

// The part, empty when absent.
std::string Part(CURLU* url, CURLUPart part, unsigned int flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), absl::ascii_iscntrl);
}

// Without the brackets of an IPv6 host.
std::string Bare(absl::string_view host) {
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) {
    host = host.substr(1, host.size() - 2);
  }
  return std::string(host);
}

}  // namespace

absl::StatusOr<Url> Url::Parse(absl::string_view text) {
  if (text.size() > kMaxUrl) return absl::InvalidArgumentError("URL is longer than 16384 bytes");
  const absl::string_view shown = text.substr(0, text.find('?'));
  const auto invalid = [shown](absl::string_view why) {
    const bool hide = absl::StrContains(shown, '@');
    return absl::InvalidArgumentError(
        absl::StrCat("URL \"", hide ? "..." : base::Printable(shown, 200), "\": ", why));
  };
  UniqueUrl handle(curl_url());
  if (handle == nullptr) return absl::ResourceExhaustedError("no memory for a URL");
  if (HasControl(text) || absl::StrContains(text, ' '))
    return invalid("must not contain spaces or control characters");
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), 0);
  if (code != CURLUE_OK) return invalid(curl_url_strerror(code));
  Url url;
  url.scheme_ = Part(handle.get(), CURLUPART_SCHEME);
  if (url.scheme_ != "http" && url.scheme_ != "https")
    return invalid("scheme must be http or https");
  if (!Part(handle.get(), CURLUPART_USER).empty() ||
      !Part(handle.get(), CURLUPART_PASSWORD).empty()) {
    return invalid("must not have user info");
  }
  if (!Part(handle.get(), CURLUPART_FRAGMENT).empty()) return invalid("must not have a fragment");
  url.host_ = absl::AsciiStrToLower(Part(handle.get(), CURLUPART_HOST));
  url.port_ = Part(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.path_ = Part(handle.get(), CURLUPART_PATH);
  url.text_ = Part(handle.get(), CURLUPART_URL);
  if (url.host_.empty()) return invalid("must have a host");
  return url;
}

absl::StatusOr<Url> Url::Resolve(absl::string_view location) const {
  if (location.empty() || location.size() > kMaxUrl || HasControl(location)) {
    return absl::InvalidArgumentError("redirect to an invalid URL");
  }
  UniqueUrl handle(curl_url());
  if (handle == nullptr) return absl::ResourceExhaustedError("no memory for a URL");
  if (curl_url_set(handle.get(), CURLUPART_URL, text_.c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, std::string(location).c_str(),
                   CURLU_URLENCODE | CURLU_ALLOW_SPACE) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0) != CURLUE_OK) {
    return absl::InvalidArgumentError("redirect to an invalid URL");
  }
  return Parse(Part(handle.get(), CURLUPART_URL));
}

bool Url::IsPlainOf(const Url& secure) const {
  if (scheme_ != "http" || secure.scheme_ != "https" || host_ != secure.host_) return false;
  return port_ == secure.port_ || (port_ == "80" && secure.port_ == "443");
}

absl::StatusOr<Url> Url::AtOriginOf(const Url& other) const {
  const size_t host = text_.find("://") + 3;
  const size_t path = std::min(text_.find('/', host), text_.size());
  return Parse(absl::StrCat(other.Origin(), absl::string_view(text_).substr(path)));
}

std::string Url::Origin() const { return absl::StrCat(scheme_, "://", host_, ":", port_); }

std::string Url::Printable() const {
  return base::Printable(absl::string_view(text_).substr(0, text_.find('?')), 500);
}

bool Url::IsLoopbackHost(absl::string_view host) {
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  const std::string bare = Bare(host);
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, bare.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return inet_pton(AF_INET6, bare.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool Url::IsLinkLocal() const {
  const std::string bare = Bare(host_);
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, bare.c_str(), &v4) == 1) return image::IsLinkLocal(v4);
  return inet_pton(AF_INET6, bare.c_str(), &v6) == 1 && image::IsLinkLocal(v6);
}

std::string PercentEncode(absl::string_view text) {
  std::string encoded;
  for (char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded.push_back(c);
    } else {
      absl::StrAppend(&encoded, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return encoded;
}

}  // namespace crisp::image
