// Redirects of one request, followed without giving secrets away.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call.h"
#include "image/http_client.h"

namespace crisp::image {

// Whether a redirect may lead from one URL to the other, as far as encryption goes. From https to
// http only if the body is checked against a digest, and not to the node's own services, on
// loopback: the error would tell the registry's owner what they answer.
bool MayLead(const Url& from, const Url& to, bool digest_decides);

// Sends `request` and follows redirects, at most ten. `secrets` are header lines that only the
// origin of `request.url` gets, like the client certificate and the right to be at a link-local
// address: another origin gets neither, nor does a further redirect back to the first one. A form
// is sent again only to the same origin; otherwise the redirect is the answer.
//
// From https to http: registries behind a proxy that ends TLS name themselves like this, so the
// same host is asked by https. Others are followed only if the digest decides (a registry may have
// its blobs where anybody can read them), else kInvalidArgument: a manifest for a tag, or a token,
// could be changed or read on the way (MayLead).
//
// `request` becomes the one that was answered, without `secrets`; `left_origin` says whether that
// is another origin.
absl::StatusOr<HttpResponse> PerformAndFollow(HttpClient& client, HttpRequest& request,
                                              const std::vector<std::string>& secrets,
                                              const base::Call& call, BodyReader* reader,
                                              bool& left_origin);

}  // namespace crisp::image
