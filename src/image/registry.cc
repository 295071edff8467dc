#include "image/registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "image/auth.h"
#include "image/backoff.h"
#include "image/blob_reader.h"
#include "image/digests.h"
#include "image/redirects.h"
#include "image/registry_codec.h"
#include "oci/image_spec_codec.h"

namespace crisp::image {
namespace {

// After this much progress a broken connection gets all attempts again.
constexpr int64_t kProgressBytes = 1 << 20;

// All types that crisp reads, as registries convert other manifests to schema 1; and any other, as
// some have manifests under types of their own, and refuse them otherwise.
std::string AcceptManifests() {
  return absl::StrCat("Accept: ", oci::kOciManifestType, ", ", oci::kOciIndexType, ", ",
                      oci::kDockerManifestType, ", ", oci::kDockerListType, ", */*");
}

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

// Whether a layer cannot be read because of what it is, and not because of this node.
bool IsOfBytes(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
         absl::IsUnimplemented(status);
}

// Of "Bearer <secret>".
std::string Secret(const std::string& authorization) {
  return authorization.substr(std::min(authorization.size(), authorization.find(' ') + 1));
}

}  // namespace

// Borrows an idle client, so that its connections are used again.
class Registry::ClientLease {
 public:
  explicit ClientLease(Registry& registry) : registry_(registry) {
    {
      absl::MutexLock lock(&registry_.mu_);
      if (!registry_.idle_clients_.empty()) {
        client_ = std::move(registry_.idle_clients_.back());
        registry_.idle_clients_.pop_back();
      }
    }
    if (client_ == nullptr) {
      client_ =
          std::make_unique<HttpClient>(HttpPace{.window = registry_.options_.progress_timeout,
                                                .bytes = registry_.options_.min_progress_bytes});
    }
  }
  ~ClientLease() {
    absl::MutexLock lock(&registry_.mu_);
    registry_.idle_clients_.push_back(std::move(client_));
  }
  ClientLease(const ClientLease&) = delete;
  ClientLease& operator=(const ClientLease&) = delete;
  HttpClient& operator*() const { return *client_; }

 private:
  Registry& registry_;
  std::unique_ptr<HttpClient> client_;
};

Registry::Registry(oci::Reference reference, Credentials credentials,
                   std::vector<RegistryHost> hosts, const PullOptions& options)
    : reference_(std::move(reference)), credentials_(std::move(credentials)), options_(options) {
  for (RegistryHost& config : hosts) {
    hosts_.push_back(std::make_unique<Host>());
    hosts_.back()->credentials = CredentialsFor(config);
    if (config.may_speak_tls) hosts_.back()->tls = ByTls(config);
    hosts_.back()->plain = std::move(config);
  }
  if (!hosts_.empty()) hosts_.back()->last = true;
}

Registry::~Registry() = default;

absl::StatusOr<Url> Registry::UrlOf(const RegistryHost& host, const std::string& path) const {
  // With override_path the API may be the root of the host, which ends with a slash.
  std::string url =
      absl::StrCat(absl::StripSuffix(host.api.text(), "/"), "/", reference_.path(), "/", path);
  if (host.is_mirror) absl::StrAppend(&url, "?ns=", PercentEncode(reference_.host()));
  return Url::Parse(url);
}

Credentials Registry::CredentialsFor(const RegistryHost& host) const {
  if (credentials_.server_address.empty()) return credentials_;
  const std::string wanted = ServerName(credentials_.server_address);
  const bool ours = wanted == ServerName(host.api.text()) ||
                    (!host.is_mirror && wanted == ServerName(reference_.host()));
  return ours ? credentials_ : Credentials();
}

absl::Status Registry::StatusOf(const Host& host, const Question& question,
                                const HttpResponse& response) const {
  std::string message =
      absl::StrCat(question.method, " ", host.config().api.text(), "/", reference_.path(), "/",
                   question.path, ": status ", response.status);
  // Concealed before it is shortened: a part of a secret would not be recognised.
  constexpr size_t kMaxWords = 300;
  const std::string words = ConcealText(DecodeRegistryError(response.body));
  if (!words.empty()) absl::StrAppend(&message, " ", base::Printable(words, kMaxWords));
  switch (response.status) {
    case 401:
      return absl::UnauthenticatedError(message);
    case 403:
      return absl::PermissionDeniedError(message);
    case 404:
      return absl::NotFoundError(message);
    case 429:
      return absl::ResourceExhaustedError(message);
    case 408:
      return absl::UnavailableError(message);
    default:
      return response.status >= 500 ? absl::UnavailableError(message)
                                    : absl::FailedPreconditionError(message);
  }
}

// A registry may send our secrets back in any part of an answer that a message quotes.
absl::Status Registry::Conceal(const absl::Status& status) const {
  return absl::Status(status.code(), ConcealText(status.message()));
}

std::string Registry::ConcealText(absl::string_view text) const {
  std::vector<std::string> secrets = {credentials_.password, credentials_.identity_token,
                                      credentials_.registry_token, BasicSecret(credentials_)};
  std::vector<Host*> hosts;
  for (const std::unique_ptr<Host>& host : hosts_) hosts.push_back(host.get());
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [origin, host] : elsewhere_) hosts.push_back(host.get());
  }
  for (Host* const host : hosts) {
    absl::MutexLock lock(&host->mu);
    secrets.push_back(Secret(host->authorization));
    for (const std::string& header : host->config().headers) {
      secrets.push_back(header.substr(std::min(header.size(), header.find(": ") + 2)));
    }
  }
  std::string concealed(text);
  constexpr size_t kShortestSecret = 4;  // replacing shorter ones would make messages unreadable
  for (const std::string& secret : secrets) {
    if (secret.size() < kShortestSecret) continue;
    concealed = absl::StrReplaceAll(
        concealed,
        {{secret, "***"}, {PercentEncode(secret), "***"}, {base::Printable(secret), "***"}});
  }
  return concealed;
}

absl::StatusOr<HttpRequest> Registry::RequestOf(const Host& host, const Question& question) const {
  HttpRequest request;
  request.method = question.method;
  request.headers = question.headers;
  request.tls = host.config().tls;
  request.connect_timeout = host.config().connect_timeout;
  request.max_body_bytes = question.max_body_bytes;
  request.decode_gzip = question.decode_gzip;
  request.answer_by = question.answer_by;
  request.digest_decides = question.digest_decides;
  request.allow_link_local = host.config().configured;
  CRISP_ASSIGN_OR_RETURN(request.url, UrlOf(host.config(), question.path));
  return request;
}

absl::StatusOr<std::string> Registry::NewAuthorization(HttpClient& client, Host& host,
                                                       const std::string& refused,
                                                       absl::string_view challenges,
                                                       const base::Call& call) {
  // Locked during the request: the other layers wait for this token instead of requesting more.
  absl::MutexLock lock(&host.mu);
  if (host.authorization != refused) return host.authorization;
  // Harbor answers a token that has expired by asking for a password, which not all users have.
  const bool password = !host.credentials.username.empty() || !host.credentials.password.empty();
  if (NamesTokenServer(challenges)) {
    host.token_challenge = std::string(challenges);
  } else if (!password && !host.token_challenge.empty()) {
    challenges = host.token_challenge;
  }
  CRISP_ASSIGN_OR_RETURN(host.authorization, Authorize(client, host.config(), challenges,
                                                       reference_.path(), host.credentials, call));
  return host.authorization;
}

absl::StatusOr<HttpResponse> Registry::Exchange(Host& host, const Question& question,
                                                const base::Call& call, BodyReader* reader) {
  ClientLease client(*this);
  std::string authorization;
  {
    absl::MutexLock lock(&host.mu);
    authorization = host.authorization;
  }
  HttpRequest request;
  bool left_origin = false;
  const auto ask = [&]() -> absl::StatusOr<HttpResponse> {
    CRISP_ASSIGN_OR_RETURN(request, RequestOf(host, question));
    std::vector<std::string> secrets = host.config().headers;
    if (!authorization.empty()) secrets.push_back("Authorization: " + authorization);
    return PerformAndFollow(*client, request, secrets, call, reader, left_origin);
  };
  const bool by_tls = host.answers_tls;
  absl::StatusOr<HttpResponse> first = ask();
  if (!by_tls && TurnToTls(*client, host, first, call)) first = ask();
  CRISP_ASSIGN_OR_RETURN(HttpResponse response, std::move(first));
  if (response.status == 401 && !left_origin) {
    CRISP_ASSIGN_OR_RETURN(
        const std::string fresh,
        NewAuthorization(*client, host, authorization, response.Header("www-authenticate"), call));
    if (fresh == authorization) return response;
    authorization = fresh;
    CRISP_ASSIGN_OR_RETURN(response, ask());
  }
  if (response.status != 401 || !left_origin) return response;
  return ExchangeElsewhere(*client, request, std::string(response.Header("www-authenticate")), call,
                           reader);
}

bool Registry::TurnToTls(HttpClient& client, Host& host, const absl::StatusOr<HttpResponse>& answer,
                         const base::Call& call) const {
  if (!host.tls.has_value() || host.answers_plain) return false;
  if (host.answers_tls) return true;  // another request has found it out meanwhile
  // Most servers say 400 to a request that is not encrypted, others just hang up.
  constexpr int kBadRequest = 400;
  if (answer.ok() && answer->status != kBadRequest) host.answers_plain = true;
  if (host.answers_plain || (!answer.ok() && !IsTransient(answer.status()))) return false;
  HttpRequest request;
  request.url = host.tls->api;
  request.tls = host.tls->tls;
  constexpr absl::Duration kPatience = absl::Seconds(5);  // enough on loopback
  const base::Call soon = call.Before(base::Deadline::In(kPatience));
  host.answers_tls = client.Perform(request, soon).ok();
  return host.answers_tls;
}

absl::StatusOr<HttpResponse> Registry::ExchangeElsewhere(HttpClient& client,
                                                         const HttpRequest& request,
                                                         std::string challenges,
                                                         const base::Call& call,
                                                         BodyReader* reader) {
  CRISP_ASSIGN_OR_RETURN(Host* const host, HostElsewhere(request));
  std::string authorization;
  {
    absl::MutexLock lock(&host->mu);
    authorization = host->authorization;  // from an earlier request, or empty
  }
  const auto ask = [&]() -> absl::StatusOr<HttpResponse> {
    HttpRequest again = request;
    bool left_origin = false;
    return PerformAndFollow(client, again, {"Authorization: " + authorization}, call, reader,
                            left_origin);
  };
  if (!authorization.empty()) {
    CRISP_ASSIGN_OR_RETURN(HttpResponse response, ask());
    if (response.status != 401) return response;
    challenges = std::string(response.Header("www-authenticate"));
  }
  CRISP_ASSIGN_OR_RETURN(authorization,
                         NewAuthorization(client, *host, authorization, challenges, call));
  return ask();
}

absl::StatusOr<Registry::Host*> Registry::HostElsewhere(const HttpRequest& request) {
  CRISP_ASSIGN_OR_RETURN(Url api, Url::Parse(request.url.Origin()));
  absl::MutexLock lock(&mu_);
  std::unique_ptr<Host>& host = elsewhere_[api.Origin()];
  if (host == nullptr) {
    host = std::make_unique<Host>();
    host->plain.api = std::move(api);
    host->plain.tls = request.tls;
    host->plain.connect_timeout = request.connect_timeout;
  }
  return host.get();
}

absl::StatusOr<HttpResponse> Registry::Ask(Host& host, Question question, const base::Call& call) {
  Backoff backoff(options_);
  while (true) {
    question.answer_by = backoff.AnswerBy();
    absl::StatusOr<HttpResponse> response = Exchange(host, question, call, nullptr);
    if (response.ok() && response->status / 100 == 2) return response;
    const absl::Status status =
        response.ok() ? StatusOf(host, question, *response) : response.status();
    if (!IsTransient(status)) return status;
    const absl::Duration asked = response.ok() ? RetryAfter(*response) : absl::ZeroDuration();
    // Before retrying a mirror, the next host is tried.
    const int attempts = host.last ? options_.attempts : 1;
    CRISP_ASSIGN_OR_RETURN(const bool again, backoff.Next(attempts, asked, call));
    if (!again) return status;
  }
}

absl::Status Registry::OnEachHost(Need need, const base::Call& call,
                                  const std::function<absl::Status(Host&, bool&)>& attempt) {
  std::vector<std::string> failures;
  absl::Status status = absl::FailedPreconditionError(
      absl::StrCat("no host is configured to serve ", reference_.Name()));
  for (const std::unique_ptr<Host>& host : hosts_) {
    const bool able = need == Need::kResolve ? host->config().can_resolve : host->config().can_pull;
    if (!able || (host->down && !host->last)) continue;
    CRISP_RETURN_IF_ERROR(call.Check());
    bool stop = false;
    status = attempt(*host, stop);
    if (status.ok() || stop) return status;
    CRISP_RETURN_IF_ERROR(call.Check());
    // Otherwise every layer would wait for the connection timeout of an unreachable mirror.
    if (absl::IsUnavailable(status)) host->down = true;
    failures.emplace_back(status.message());
  }
  // The registry itself is last, and its error explains most; but a mirror may be the only host
  // that this node is meant to reach.
  constexpr size_t kShown = 4;
  if (failures.size() > kShown) {
    const size_t left_out = failures.size() - kShown;
    failures.erase(failures.begin() + (kShown - 1), failures.end() - 1);
    failures.insert(failures.end() - 1, absl::StrCat(left_out, " more mirrors failed"));
  }
  if (failures.empty()) return status;
  return Conceal(absl::Status(status.code(), absl::StrJoin(failures, "; ")));
}

absl::StatusOr<oci::Digest> Registry::Resolve(const base::Call& call) {
  const Question question{.method = "HEAD",
                          .path = absl::StrCat("manifests/", reference_.Object()),
                          .headers = {AcceptManifests()}};
  oci::Digest digest;
  const Need need = reference_.digest().empty() ? Need::kResolve : Need::kPull;
  CRISP_RETURN_IF_ERROR(OnEachHost(need, call, [&](Host& host, bool&) {
    const absl::StatusOr<HttpResponse> response = Exchange(host, question, call, nullptr);
    const bool answered = response.ok() && response->status / 100 == 2;
    if (!answered) {
      const absl::Status status =
          response.ok() ? StatusOf(host, question, *response) : response.status();
      // Not as "unavailable", with which the host would not be asked by GET.
      return absl::FailedPreconditionError(status.message());
    }
    absl::StatusOr<oci::Digest> said =
        oci::Digest::Parse(response->Header("docker-content-digest"));
    if (said.ok()) digest = *std::move(said);
    return absl::OkStatus();
  }));
  return digest;
}

absl::StatusOr<Registry::Document> Registry::FetchDocument(const std::string& object,
                                                           const oci::Digest& expected, Need need,
                                                           const base::Call& call) {
  Question question{.method = "GET",
                    .path = absl::StrCat("manifests/", object),
                    .headers = {AcceptManifests()},
                    .max_body_bytes = oci::kMaxDocumentBytes,
                    .digest_decides = !expected.empty()};
  Document document;
  CRISP_RETURN_IF_ERROR(OnEachHost(need, call, [&](Host& host, bool&) {
    question.decode_gzip = false;
    absl::StatusOr<HttpResponse> response = Ask(host, question, call);
    // Compressed although we ask for it as it is. A document itself does not begin like this.
    question.decode_gzip =
        response.ok() && response->IsGzip() && absl::StartsWith(response->body, "\x1f\x8b");
    if (question.decode_gzip) response = Ask(host, question, call);
    if (!response.ok()) return response.status();
    // For a tag the host sends the digest. Some send that of another form of the image; a mirror is
    // not believed then, of the registry itself the bytes count, as for Docker.
    oci::Digest wanted = expected;
    if (wanted.empty()) {
      absl::StatusOr<oci::Digest> said =
          oci::Digest::Parse(response->Header("docker-content-digest"));
      if (said.ok()) wanted = *std::move(said);
    }
    document.digest = DigestOf(response->body, wanted);
    const bool differs = !wanted.empty() && document.digest != wanted;
    if (differs && (!expected.empty() || host.config().is_mirror)) {
      return absl::DataLossError(absl::StrCat("manifest from ", host.config().api.Origin(),
                                              ": digest is ", document.digest.str(), ", not ",
                                              wanted.str(), response->PageWords()));
    }
    document.media_type = std::string(response->Header("content-type"));
    document.bytes = std::move(response->body);
    // For a tag a mirror, or a proxy in front of it, may answer with a page of its own. A document
    // with the right digest would be the same from any host.
    if (!expected.empty()) return absl::OkStatus();
    const absl::Status decoded = oci::DecodeManifestOrIndex(document.bytes, "").status();
    if (decoded.ok()) return decoded;
    return absl::Status(decoded.code(), absl::StrCat(host.config().api.Origin(), ": ",
                                                     decoded.message(), response->PageWords()));
  }));
  return document;
}

absl::StatusOr<Registry::Document> Registry::FetchManifest(const base::Call& call) {
  const Need need = reference_.digest().empty() ? Need::kResolve : Need::kPull;
  return FetchDocument(reference_.Object(), reference_.digest(), need, call);
}

absl::StatusOr<Registry::Document> Registry::FetchManifest(const oci::Descriptor& descriptor,
                                                           const base::Call& call) {
  CRISP_ASSIGN_OR_RETURN(Document document, FetchDocument(descriptor.digest.str(),
                                                          descriptor.digest, Need::kPull, call));
  if (descriptor.size > 0 && static_cast<int64_t>(document.bytes.size()) != descriptor.size) {
    return absl::DataLossError(absl::StrCat("manifest ", descriptor.digest.str(), ": size is ",
                                            document.bytes.size(), ", not ", descriptor.size));
  }
  return document;
}

absl::Status Registry::FetchBlobFrom(Host& host, const oci::Descriptor& descriptor,
                                     BlobReader& reader, const base::Call& call) {
  Question question{.method = "GET",
                    .path = absl::StrCat("blobs/", descriptor.digest.str()),
                    .headers = {},
                    .decode_gzip = reader.decode_gzip(),
                    .digest_decides = true};
  Backoff backoff(options_);
  int64_t progress_from = 0;
  bool by_range = !reader.decode_gzip();  // else the server counts other bytes than the reader
  while (true) {
    question.headers.clear();
    question.answer_by = backoff.AnswerBy();
    const bool rest = by_range && reader.offset() > 0;
    if (rest) question.headers.push_back(absl::StrCat("Range: bytes=", reader.offset(), "-"));
    absl::StatusOr<HttpResponse> response = Exchange(host, question, call, &reader);
    const bool answered = response.ok() && response->status / 100 == 2;
    if (answered) return reader.Seal();
    const absl::Status status =
        response.ok() ? StatusOf(host, question, *response) : response.status();
    if (reader.sink_failed()) return status;
    if (rest && !IsTransient(status)) {
      // It sends all of the blob, but not the rest of it.
      by_range = false;
      continue;
    }
    if (!IsTransient(status)) return status;
    // All bytes have arrived, although the connection ended with an error.
    if (reader.offset() > 0 && reader.complete()) return reader.Seal();
    if (reader.offset() - progress_from >= kProgressBytes) {
      backoff.Reset();
      progress_from = reader.offset();
    }
    const absl::Duration asked = response.ok() ? RetryAfter(*response) : absl::ZeroDuration();
    // With the next host the blob starts again, so a host that has sent a part is retried first.
    const int attempts = host.last || reader.offset() > 0 ? options_.attempts : 1;
    CRISP_ASSIGN_OR_RETURN(const bool again, backoff.Next(attempts, asked, call));
    if (!again) return status;
  }
}

absl::StatusOr<std::unique_ptr<LayerSink>> Registry::FetchBlob(const oci::Descriptor& descriptor,
                                                               const MakeSink& make_sink,
                                                               std::atomic<int64_t>& bytes_done,
                                                               const base::Call& call) {
  std::unique_ptr<LayerSink> sealed;
  const auto attempt = [&](Host& host, bool decode_gzip, bool& stop,
                           bool& gzipped) -> absl::Status {
    absl::StatusOr<std::unique_ptr<LayerSink>> sink = make_sink();
    // An error of the sink would be the same with any host.
    stop = !sink.ok();
    if (stop) return sink.status();
    BlobReader reader(descriptor, **sink, bytes_done, decode_gzip);
    const absl::Status status = FetchBlobFrom(host, descriptor, reader, call);
    // Bytes that the sink cannot read are this host's fault, unless they have the digest.
    stop = reader.sink_failed() && (reader.verified() || !IsOfBytes(status));
    gzipped = reader.gzipped();
    if (status.ok()) sealed = *std::move(sink);
    return status;
  };
  CRISP_RETURN_IF_ERROR(OnEachHost(Need::kPull, call, [&](Host& host, bool& stop) -> absl::Status {
    bool gzipped = false;
    const absl::Status status = attempt(host, /*decode_gzip=*/false, stop, gzipped);
    // Most servers that say so mean the layer's own gzip; what other ones have compressed has
    // another size and digest.
    if (stop || !gzipped || !IsOfBytes(status)) return status;
    return attempt(host, /*decode_gzip=*/true, stop, gzipped);
  }));
  return sealed;
}

}  // namespace crisp::image
