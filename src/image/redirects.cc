#include "image/redirects.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::image {
namespace {

constexpr int kMaxRedirects = 10;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Of these the method and the form stay (RFC 9110, 15.4).
bool KeepsForm(int status) { return status == 307 || status == 308; }

// Where `location` leads: for an https server's own http, to its https, except to where it was.
absl::StatusOr<Url> NextUrl(const Url& from, absl::string_view location) {
  CRISP_ASSIGN_OR_RETURN(const Url to, from.Resolve(location));
  if (!to.IsPlainOf(from)) return to;
  CRISP_ASSIGN_OR_RETURN(const Url secure, to.AtOriginOf(from));
  return secure.text() == from.text() ? to : secure;
}

}  // namespace

bool MayLead(const Url& from, const Url& to, bool digest_decides) {
  if (from.scheme() != "https" || to.scheme() != "http") return true;
  return digest_decides && (from.IsLoopback() || !to.IsLoopback());
}

absl::StatusOr<HttpResponse> PerformAndFollow(HttpClient& client, HttpRequest& request,
                                              const std::vector<std::string>& secrets,
                                              const base::Call& call, BodyReader* reader,
                                              bool& left_origin) {
  const std::string first = request.url.Origin();
  left_origin = false;
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    HttpRequest sent = request;
    if (!left_origin) sent.headers.insert(sent.headers.end(), secrets.begin(), secrets.end());
    CRISP_ASSIGN_OR_RETURN(HttpResponse response, client.Perform(sent, call, reader));
    if (!IsRedirect(response.status)) return response;
    CRISP_ASSIGN_OR_RETURN(const Url next, NextUrl(request.url, response.Header("location")));
    if (!MayLead(request.url, next, request.digest_decides)) {
      return absl::InvalidArgumentError(
          absl::StrCat(request.url.Origin(), " redirects from https to ", next.Origin()));
    }
    const bool leaves = next.Origin() != request.url.Origin();
    if (!request.form.empty() && (leaves || !KeepsForm(response.status))) return response;
    if (leaves) {
      left_origin = true;
      request.tls.GoElsewhere();
      request.allow_link_local = false;
    }
    request.url = next;
  }
  return absl::FailedPreconditionError(
      absl::StrCat(first, ": more than ", kMaxRedirects, " redirects"));
}

}  // namespace crisp::image
