// Answers to a registry's 401: HTTP basic (RFC 7617) and the distribution token flow
// (distribution docs, "token authentication"; OAuth2 refresh for identity tokens).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "image/credentials.h"
#include "image/http_client.h"
#include "image/registry_hosts.h"

namespace crisp::image {

struct Challenge {
  std::string scheme;  // lower case: "basic", "bearer", ...
  std::string realm;
  std::string service;
  std::string scope;
};

// WWW-Authenticate, possibly several challenges (RFC 9110, 11.6.1). Parts that do not parse are
// skipped.
std::vector<Challenge> ParseChallenges(absl::string_view header);

// Whether one of the challenges is for a bearer token.
bool NamesTokenServer(absl::string_view challenges);

// The value for Authorization that answers the registry's challenges. For a bearer challenge
// requests a token from the token server, by GET or by POST, whichever it takes: over https only,
// unless the registry itself is plain http, and never from a link-local address. kUnauthenticated
// when the credentials are refused or missing.
absl::StatusOr<std::string> Authorize(HttpClient& client, const RegistryHost& host,
                                      absl::string_view challenges, absl::string_view repository,
                                      const Credentials& credentials, const base::Call& call);

// base64("username:password"), with an identity token for the password of a user without one.
std::string BasicSecret(const Credentials& credentials);

}  // namespace crisp::image
