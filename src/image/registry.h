// One repository during one pull: the pull part of the distribution spec, over all hosts that serve
// the registry (mirrors first), with authentication, redirects, retries and resumed transfers.
// Thread-safe: layers are fetched concurrently. Errors contain no secret; codes as in
// image/puller.h.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/call.h"
#include "base/deadline.h"
#include "image/blob_reader.h"
#include "image/credentials.h"
#include "image/http_client.h"
#include "image/layer_target.h"
#include "image/pull_options.h"
#include "image/registry_hosts.h"
#include "oci/image_spec.h"
#include "oci/reference.h"

namespace crisp::image {

class Registry {
 public:
  // `options` is borrowed.
  Registry(oci::Reference reference, Credentials credentials, std::vector<RegistryHost> hosts,
           const PullOptions& options);
  ~Registry();

  // The digest that the reference has now, by HEAD (which registries do not count as a pull); empty
  // when the registry does not send it. Asks each host once: a registry that refuses HEAD in
  // whatever way may answer GET.
  absl::StatusOr<oci::Digest> Resolve(const base::Call& call);

  struct Document {
    std::string bytes;
    std::string media_type;
    oci::Digest digest;  // of bytes
  };
  // Manifest or index: that of the reference, or exactly that of `descriptor`.
  absl::StatusOr<Document> FetchManifest(const base::Call& call);
  absl::StatusOr<Document> FetchManifest(const oci::Descriptor& descriptor, const base::Call& call);

  // Streams the blob into a sink and seals it. After a broken connection the transfer continues at
  // the same byte; with another host it starts again with a new sink. `bytes_done` shows the
  // progress.
  using MakeSink = std::function<absl::StatusOr<std::unique_ptr<LayerSink>>()>;
  absl::StatusOr<std::unique_ptr<LayerSink>> FetchBlob(const oci::Descriptor& descriptor,
                                                       const MakeSink& make_sink,
                                                       std::atomic<int64_t>& bytes_done,
                                                       const base::Call& call);

 private:
  struct Host {
    RegistryHost plain;  // the host as configured
    // The same one, if it may speak TLS although its URL does not say so.
    std::optional<RegistryHost> tls;
    std::atomic<bool> answers_tls = false;    // so `tls` counts
    std::atomic<bool> answers_plain = false;  // so it does not speak TLS
    const RegistryHost& config() const { return answers_tls ? *tls : plain; }

    Credentials credentials;         // none for a host that another one has redirected to
    bool last = false;               // the registry itself, or what stands for it
    std::atomic<bool> down = false;  // could not be reached during this pull
    absl::Mutex mu;
    std::string authorization ABSL_GUARDED_BY(mu);    // the last that the host accepted
    std::string token_challenge ABSL_GUARDED_BY(mu);  // the last that names a token server
  };
  enum class Need { kPull, kResolve };
  struct Question {
    std::string method;
    std::string path;  // below the repository: "manifests/latest"
    std::vector<std::string> headers;
    size_t max_body_bytes = 0;
    bool decode_gzip = false;
    base::Deadline answer_by = base::Deadline::At(0);
    bool digest_decides = false;  // the body is checked against a digest that is known before
  };

  absl::StatusOr<Document> FetchDocument(const std::string& object, const oci::Digest& expected,
                                         Need need, const base::Call& call);
  // Calls `attempt(host, stop)` for every host with the needed capability, until one succeeds or
  // sets `stop`.
  absl::Status OnEachHost(Need need, const base::Call& call,
                          const std::function<absl::Status(Host&, bool&)>& attempt);
  // Sends one question and retries it until the answer is 2xx or an error that retries do not help.
  absl::StatusOr<HttpResponse> Ask(Host& host, Question question, const base::Call& call);
  absl::Status FetchBlobFrom(Host& host, const oci::Descriptor& descriptor, BlobReader& reader,
                             const base::Call& call);
  absl::StatusOr<HttpResponse> Exchange(Host& host, const Question& question,
                                        const base::Call& call, BodyReader* reader);
  // Whether `host` has to be asked again by TLS: `answer`, its first one, may be that of a server
  // which wants TLS, and it speaks it.
  bool TurnToTls(HttpClient& client, Host& host, const absl::StatusOr<HttpResponse>& answer,
                 const base::Call& call) const;
  absl::StatusOr<HttpRequest> RequestOf(const Host& host, const Question& question) const;
  // After a redirect to another host that wants a token: authorizes anonymously with that host and
  // sends it `request` again.
  absl::StatusOr<HttpResponse> ExchangeElsewhere(HttpClient& client, const HttpRequest& request,
                                                 std::string challenges, const base::Call& call,
                                                 BodyReader* reader);
  absl::StatusOr<Host*> HostElsewhere(const HttpRequest& request);
  absl::StatusOr<std::string> NewAuthorization(HttpClient& client, Host& host,
                                               const std::string& refused,
                                               absl::string_view challenges,
                                               const base::Call& call);
  absl::StatusOr<Url> UrlOf(const RegistryHost& host, const std::string& path) const;
  absl::Status StatusOf(const Host& host, const Question& question,
                        const HttpResponse& response) const;
  absl::Status Conceal(const absl::Status& status) const;
  std::string ConcealText(absl::string_view text) const;
  Credentials CredentialsFor(const RegistryHost& host) const;

  class ClientLease;

  const oci::Reference reference_;
  const Credentials credentials_;
  const PullOptions& options_;
  std::vector<std::unique_ptr<Host>> hosts_;

  mutable absl::Mutex mu_;
  std::vector<std::unique_ptr<HttpClient>> idle_clients_ ABSL_GUARDED_BY(mu_);
  // By origin, of hosts that the registry redirects to.
  std::map<std::string, std::unique_ptr<Host>> elsewhere_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::image
