#include "oci/reference.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/id.h"
#include "base/printable.h"

namespace crisp::oci {
namespace {

constexpr size_t kMaxHost = 255;
constexpr size_t kMaxPath = 255;  // the limit of distribution/reference
constexpr size_t kMaxTag = 128;
constexpr char kDefaultHost[] = "docker.io";

bool IsLowerAlphaNumeric(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }

// alpha-numeric [separator alpha-numeric]*, separator = "." | "_" | "__" | "-"+
bool IsPathComponent(absl::string_view text) {
  size_t i = 0;
  while (true) {
    const size_t word = i;
    while (i < text.size() && IsLowerAlphaNumeric(text[i])) ++i;
    if (i == word) return false;
    if (i == text.size()) return true;
    const size_t separator = i;
    while (i < text.size() && text[i] == text[separator]) ++i;
    const size_t length = i - separator;
    switch (text[separator]) {
      case '.':
        if (length > 1) return false;
        break;
      case '_':
        if (length > 2) return false;
        break;
      case '-':
        break;
      default:
        return false;
    }
  }
}

bool IsPath(absl::string_view path) {
  for (absl::string_view component : absl::StrSplit(path, '/')) {
    if (!IsPathComponent(component)) return false;
  }
  return true;
}

bool IsDomainName(absl::string_view name) {
  for (absl::string_view component : absl::StrSplit(name, '.')) {
    if (component.empty() || component.front() == '-' || component.back() == '-') return false;
    for (char c : component) {
      if (!absl::ascii_isalnum(c) && c != '-') return false;
    }
  }
  return true;
}

bool IsPort(absl::string_view port) {
  int number = 0;
  return !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(port, &number) && number <= 65535;
}

// domain-name or "[" IPv6 "]", with an optional ":" port.
bool IsHost(absl::string_view host) {
  if (absl::StartsWith(host, "[")) {
    const size_t end = host.find(']');
    if (end == absl::string_view::npos || end == 1) return false;
    for (char c : host.substr(1, end - 1)) {
      if (!absl::ascii_isxdigit(c) && c != ':') return false;
    }
    const absl::string_view rest = host.substr(end + 1);
    return rest.empty() || (rest.front() == ':' && IsPort(rest.substr(1)));
  }
  const size_t colon = host.find(':');
  if (colon != absl::string_view::npos && !IsPort(host.substr(colon + 1))) return false;
  return IsDomainName(host.substr(0, colon));
}

bool IsTag(absl::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTag || tag.front() == '.' || tag.front() == '-') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
  });
}

// Whether the part before the first '/' is a registry, and not a user of Docker Hub.
bool LooksLikeHost(absl::string_view text) {
  return text == "localhost" || absl::StrContains(text, '.') || absl::StrContains(text, ':') ||
         std::any_of(text.begin(), text.end(), absl::ascii_isupper);
}

}  // namespace

absl::StatusOr<Reference> Reference::Parse(absl::string_view text) {
  const auto invalid = [text](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("image reference \"", base::Printable(text, 300), "\": ", why));
  };
  if (base::IsId(text)) return invalid("64 hexadecimal digits are an image id, not a reference");

  Reference reference;
  absl::string_view name = text;
  if (const size_t at = name.find('@'); at != absl::string_view::npos) {
    absl::StatusOr<Digest> digest = Digest::Parse(name.substr(at + 1));
    if (!digest.ok()) return invalid(digest.status().message());
    reference.digest_ = *std::move(digest);
    name = name.substr(0, at);
  }
  const size_t colon = name.rfind(':');
  if (colon != absl::string_view::npos && !absl::StrContains(name.substr(colon), '/')) {
    const absl::string_view tag = name.substr(colon + 1);
    if (!IsTag(tag))
      return invalid("tag must be 1 to 128 letters, digits, _ . -, not beginning with . or -");
    if (reference.digest_.empty()) reference.tag_ = std::string(tag);
    name = name.substr(0, colon);
  } else if (reference.digest_.empty()) {
    reference.tag_ = "latest";
  }

  const size_t slash = name.find('/');
  if (slash != absl::string_view::npos && LooksLikeHost(name.substr(0, slash))) {
    reference.host_ = std::string(name.substr(0, slash));
    reference.path_ = std::string(name.substr(slash + 1));
  } else {
    reference.host_ = kDefaultHost;
    reference.path_ = std::string(name);
  }
  if (reference.host_ == "index.docker.io") reference.host_ = kDefaultHost;
  if (reference.host_ == kDefaultHost && !absl::StrContains(reference.path_, '/')) {
    reference.path_ = absl::StrCat("library/", reference.path_);
  }
  if (reference.host_.size() > kMaxHost || !IsHost(reference.host_))
    return invalid("registry host must be a domain name or [IPv6 address], with an optional port");
  if (reference.path_.size() > kMaxPath)
    return invalid("repository name must be at most 255 bytes long");
  if (!IsPath(reference.path_)) {
    return invalid("repository name must be lower-case letters and digits, separated by . _ - /");
  }
  return reference;
}

std::string Reference::Name() const { return absl::StrCat(host_, "/", path_); }

std::string Reference::ToString() const {
  return digest_.empty() ? absl::StrCat(Name(), ":", tag_)
                         : absl::StrCat(Name(), "@", digest_.str());
}

Reference Reference::WithDigest(Digest digest) const {
  Reference other = *this;
  other.tag_.clear();
  other.digest_ = std::move(digest);
  return other;
}

}  // namespace crisp::oci
