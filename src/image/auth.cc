#include "image/auth.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "image/redirects.h"
#include "image/registry_codec.h"

namespace crisp::image {
namespace {

constexpr char kClientId[] = "crisp";
constexpr size_t kMaxTokenAnswer = 256 << 10;
constexpr size_t kMaxChallenges = 16;

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", c);
}

absl::string_view TakeToken(absl::string_view& rest) {
  size_t end = 0;
  while (end < rest.size() && IsTokenChar(rest[end])) ++end;
  const absl::string_view token = rest.substr(0, end);
  rest.remove_prefix(end);
  return token;
}

void SkipSpaces(absl::string_view& rest) { rest = absl::StripLeadingAsciiWhitespace(rest); }

// A token or a quoted string.
std::string TakeValue(absl::string_view& rest) {
  if (!absl::ConsumePrefix(&rest, "\"")) return std::string(TakeToken(rest));
  std::string value;
  while (!rest.empty() && rest.front() != '"') {
    if (rest.front() == '\\' && rest.size() > 1) rest.remove_prefix(1);
    value.push_back(rest.front());
    rest.remove_prefix(1);
  }
  (void)absl::ConsumePrefix(&rest, "\"");
  return value;
}

void SetParameter(Challenge& challenge, const std::string& name, std::string value) {
  if (name == "realm") challenge.realm = std::move(value);
  if (name == "service") challenge.service = std::move(value);
  if (name == "scope") challenge.scope = std::move(value);
}

void AppendParameter(std::string& query, absl::string_view name, absl::string_view value) {
  absl::StrAppend(&query, query.empty() ? "" : "&", name, "=", PercentEncode(value));
}

// Registries behind a proxy that ends TLS often name their token server with http. Anybody may read
// the token of an anonymous user, but not a password: that goes by https, if it is the same host.
absl::StatusOr<Url> RealmUrl(const RegistryHost& host, const Challenge& challenge,
                             const Credentials& credentials) {
  absl::StatusOr<Url> realm = Url::Parse(challenge.realm);
  if (!realm.ok()) return base::Prefix(realm.status(), "token server");
  if (realm->scheme() == "http" && host.api.scheme() != "http" && !(credentials == Credentials())) {
    if (realm->IsPlainOf(host.api)) return realm->AtOriginOf(host.api);
    return absl::InvalidArgumentError(
        absl::StrCat("token server ", realm->Origin(),
                     ": a password for an https registry needs an https token server"));
  }
  return realm;
}

bool IsAnonymous(const Credentials& credentials) {
  return credentials.username.empty() && credentials.password.empty() &&
         credentials.identity_token.empty();
}

// What the token server is asked for, and the two ways to ask: by the query of a GET, and by the
// form of a POST (OAuth2). Many servers know only one of them.
struct TokenQuestion {
  const RegistryHost& host;
  const Url& realm;
  const std::string& service;
  const std::string& scope;
  const Credentials& credentials;

  std::string Form() const;
  absl::StatusOr<Url> Query() const;
  absl::StatusOr<HttpResponse> Ask(HttpClient& client, bool by_form, const base::Call& call) const;
};

std::string TokenQuestion::Form() const {
  std::string form;
  const bool refresh = !credentials.identity_token.empty();
  AppendParameter(form, "grant_type", refresh ? "refresh_token" : "password");
  if (!service.empty()) AppendParameter(form, "service", service);
  AppendParameter(form, "scope", scope);
  AppendParameter(form, "client_id", kClientId);
  if (refresh) {
    AppendParameter(form, "refresh_token", credentials.identity_token);
  } else {
    AppendParameter(form, "username", credentials.username);
    AppendParameter(form, "password", credentials.password);
  }
  return form;
}

absl::StatusOr<Url> TokenQuestion::Query() const {
  std::string query;
  if (!service.empty()) AppendParameter(query, "service", service);
  // The query has each scope by itself, the form all of them in one.
  for (const absl::string_view one : absl::StrSplit(scope, ' ', absl::SkipEmpty())) {
    AppendParameter(query, "scope", one);
  }
  const absl::string_view separator = absl::StrContains(realm.text(), '?') ? "&" : "?";
  return Url::Parse(absl::StrCat(realm.text(), separator, query));
}

absl::StatusOr<HttpResponse> TokenQuestion::Ask(HttpClient& client, bool by_form,
                                                const base::Call& call) const {
  HttpRequest request;
  std::vector<std::string> secrets;
  request.tls = host.tls;
  if (realm.Origin() != host.api.Origin()) request.tls.GoElsewhere();
  request.connect_timeout = host.connect_timeout;
  request.max_body_bytes = kMaxTokenAnswer;
  request.decode_gzip = true;
  if (by_form) {
    request.method = "POST";
    request.url = realm;
    request.form = Form();
  } else {
    CRISP_ASSIGN_OR_RETURN(request.url, Query());
    if (!IsAnonymous(credentials)) {
      secrets.push_back(absl::StrCat("Authorization: Basic ", BasicSecret(credentials)));
    }
  }
  bool left_origin = false;
  return PerformAndFollow(client, request, secrets, call, nullptr, left_origin);
}

// Whether a server that gives no token may give one when it is asked in the other way. Of those
// that do not know a POST, some say 400 or 401 (containerd has met them at ACR and Artifactory), or
// 403 (Harbor).
bool MayKnowTheOtherWay(int status, bool by_form) {
  constexpr int kForbidden = 403;
  return (by_form && status == kForbidden) || status == 400 || status == 401 || status == 404 ||
         status == 405 || status == 501;
}

absl::StatusOr<std::string> FetchToken(HttpClient& client, const RegistryHost& host,
                                       const Challenge& challenge, absl::string_view repository,
                                       const Credentials& credentials, const base::Call& call) {
  CRISP_ASSIGN_OR_RETURN(const Url realm, RealmUrl(host, challenge, credentials));
  const std::string scope =
      challenge.scope.empty() ? absl::StrCat("repository:", repository, ":pull") : challenge.scope;
  const TokenQuestion question = {host, realm, challenge.service, scope, credentials};
  const bool by_form = !credentials.identity_token.empty();
  CRISP_ASSIGN_OR_RETURN(HttpResponse response, question.Ask(client, by_form, call));
  if (!IsAnonymous(credentials) && MayKnowTheOtherWay(response.status, by_form)) {
    CRISP_ASSIGN_OR_RETURN(HttpResponse other, question.Ask(client, !by_form, call));
    // One that does not know this way says nothing of the user.
    if (!MayKnowTheOtherWay(other.status, !by_form) || other.status == 401) {
      response = std::move(other);
    }
  }
  const std::string server = absl::StrCat("token server ", realm.Printable());
  if (response.status / 100 == 2) {
    absl::StatusOr<std::string> token = DecodeToken(response.body);
    if (!token.ok()) return base::Prefix(token.status(), server);
    return token;
  }
  const std::string what = absl::StrCat(server, ": status ", response.status);
  if (response.status == 429) return absl::ResourceExhaustedError(what);
  if (response.status >= 500) return absl::UnavailableError(what);
  return absl::UnauthenticatedError(what);
}

absl::StatusOr<std::string> BearerOf(absl::string_view token) {
  // The token becomes part of a header line.
  if (!std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(
        "registry token must not contain spaces or control characters");
  }
  return absl::StrCat("Bearer ", token);
}

const Challenge* FindScheme(const std::vector<Challenge>& challenges, absl::string_view scheme) {
  const auto found = std::find_if(challenges.begin(), challenges.end(),
                                  [&](const Challenge& c) { return c.scheme == scheme; });
  return found == challenges.end() ? nullptr : &*found;
}

}  // namespace

std::vector<Challenge> ParseChallenges(absl::string_view rest) {
  std::vector<Challenge> challenges;
  while (!rest.empty()) {
    SkipSpaces(rest);
    const std::string word = absl::AsciiStrToLower(TakeToken(rest));
    if (word.empty()) {
      if (!rest.empty()) rest.remove_prefix(1);  // a comma, or not part of a challenge
      continue;
    }
    const absl::string_view after_word = rest;
    SkipSpaces(rest);
    if (absl::ConsumePrefix(&rest, "=")) {
      SkipSpaces(rest);
      std::string value = TakeValue(rest);
      if (!challenges.empty()) SetParameter(challenges.back(), word, std::move(value));
      continue;
    }
    rest = after_word;
    if (challenges.size() == kMaxChallenges) break;
    Challenge challenge;
    challenge.scheme = word;
    challenges.push_back(std::move(challenge));
  }
  return challenges;
}

bool NamesTokenServer(absl::string_view challenges) {
  return FindScheme(ParseChallenges(challenges), "bearer") != nullptr;
}

std::string BasicSecret(const Credentials& credentials) {
  const bool only_token = credentials.username.empty() && credentials.password.empty();
  return absl::Base64Escape(absl::StrCat(
      credentials.username, ":", only_token ? credentials.identity_token : credentials.password));
}

absl::StatusOr<std::string> Authorize(HttpClient& client, const RegistryHost& host,
                                      absl::string_view challenges, absl::string_view repository,
                                      const Credentials& credentials, const base::Call& call) {
  const std::vector<Challenge> parsed = ParseChallenges(challenges);
  if (const Challenge* bearer = FindScheme(parsed, "bearer")) {
    if (!credentials.registry_token.empty()) return BearerOf(credentials.registry_token);
    CRISP_ASSIGN_OR_RETURN(const std::string token,
                           FetchToken(client, host, *bearer, repository, credentials, call));
    return BearerOf(token);
  }
  if (FindScheme(parsed, "basic") != nullptr) {
    if (credentials.username.empty() && credentials.password.empty()) {
      return absl::UnauthenticatedError(
          absl::StrCat(host.api.Origin(), ": username and password are required"));
    }
    return absl::StrCat("Basic ", BasicSecret(credentials));
  }
  const absl::string_view why = parsed.empty() ? "requires an authentication that it does not name"
                                               : "requires an authentication that is not supported";
  return absl::UnauthenticatedError(absl::StrCat(host.api.Origin(), ": ", why));
}

}  // namespace crisp::image
