#include "image/http_client.h"

#include <curl/curl.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/printable.h"
#include "image/client_certificates.h"
#include "image/link_local.h"

namespace crisp::image {
namespace {

constexpr size_t kMaxHeaderBytes = 64 << 10;
constexpr size_t kMaxErrorBody = 8 << 10;
constexpr long kReadBuffer = 512 << 10;  // the maximum of libcurl

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using UniqueList = std::unique_ptr<curl_slist, FreeList>;

// State of one exchange, filled by libcurl's callbacks on the calling thread.
struct Exchange {
  Exchange(const HttpRequest& asked, const base::Call& caller, const HttpPace& wanted,
           BodyReader* body)
      : request(asked), call(caller), pace(wanted), reader(body) {}

  const HttpRequest& request;
  const base::Call& call;
  const HttpPace& pace;
  BodyReader* reader;

  HttpResponse response;
  absl::Status failure;  // set by a callback; it explains more than libcurl's error
  bool body_started = false;
  bool cut_short = false;  // the transfer was ended after kMaxErrorBody
  std::string proxy;       // its address, if the environment names it by one
  size_t header_bytes = 0;
  int64_t window_start = base::MonotonicNanos();
  int64_t window_bytes = 0;
  char curl_words[CURL_ERROR_SIZE] = "";

  bool Fail(absl::Status status) {
    failure = std::move(status);
    return false;
  }
  void CountProgress(size_t bytes) {
    window_bytes += static_cast<int64_t>(bytes);
    if (window_bytes < pace.bytes) return;
    window_start = base::MonotonicNanos();
    window_bytes = 0;
  }
  base::Deadline WindowEnd() const {
    const auto end = base::Deadline::At(window_start + absl::ToInt64Nanoseconds(pace.window));
    return header_bytes == 0 ? std::max(end, request.answer_by) : end;
  }

  bool OnHeader(absl::string_view line);
  bool OnBody(absl::string_view bytes);
  bool ToReader(absl::string_view bytes);
};

bool Exchange::OnHeader(absl::string_view line) {
  if (header_bytes == 0) window_start = base::MonotonicNanos();
  header_bytes += line.size();
  CountProgress(line.size());
  if (header_bytes > kMaxHeaderBytes) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("response headers longer than ", kMaxHeaderBytes, " bytes")));
  }
  if (body_started) return true;  // trailers are ignored
  line = absl::StripAsciiWhitespace(line);
  if (absl::StartsWith(line, "HTTP/")) {
    // A 1xx answer comes before the final one, which replaces it.
    response = {};
    const absl::string_view code = line.substr(std::min(line.find(' '), line.size()));
    (void)absl::SimpleAtoi(code.substr(0, 4), &response.status);  // libcurl has checked it
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return true;
  std::string& value = response.headers[absl::AsciiStrToLower(line.substr(0, colon))];
  if (!value.empty()) value += ", ";
  absl::StrAppend(&value, absl::StripAsciiWhitespace(line.substr(colon + 1)));
  // libcurl knows more encodings, each of them another parser of hostile bytes.
  const absl::string_view encoding = response.Header("content-encoding");
  if (request.decode_gzip && !encoding.empty() && !response.IsGzip()) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("Content-Encoding ", base::Printable(encoding, 80), " is not supported")));
  }
  return true;
}

bool Exchange::ToReader(absl::string_view bytes) {
  if (absl::Status status = call.Check(); !status.ok()) return Fail(std::move(status));
  const int64_t begin = base::MonotonicNanos();
  absl::Status status;
  if (!body_started) status = reader->Start(response);
  if (status.ok()) status = reader->Read(bytes);
  // The time for unpacking does not count as slowness of the registry.
  window_start += base::MonotonicNanos() - begin;
  return status.ok() || Fail(std::move(status));
}

bool Exchange::OnBody(absl::string_view bytes) {
  CountProgress(bytes.size());
  const bool success = response.status >= 200 && response.status < 300;
  if (success && reader != nullptr) {
    const bool taken = ToReader(bytes);
    body_started = true;
    return taken;
  }
  body_started = true;
  const size_t max = success ? request.max_body_bytes : kMaxErrorBody;
  const size_t room = max - response.body.size();
  absl::StrAppend(&response.body, bytes.substr(0, room));
  if (bytes.size() <= room) return true;
  if (success) {
    return Fail(absl::InvalidArgumentError(absl::StrCat("response longer than ", max, " bytes")));
  }
  cut_short = true;
  return false;
}

size_t HeaderCallback(char* data, size_t, size_t size, void* exchange) {
  return static_cast<Exchange*>(exchange)->OnHeader({data, size}) ? size : 0;
}

size_t BodyCallback(char* data, size_t, size_t size, void* exchange) {
  return static_cast<Exchange*>(exchange)->OnBody({data, size}) ? size : 0;
}

std::string AddressOf(const curl_sockaddr& address) {
  char host[NI_MAXHOST] = "";
  (void)getnameinfo(&address.addr, address.addrlen, host, sizeof(host), nullptr, 0, NI_NUMERICHOST);
  const absl::string_view text = host;
  return std::string(text.substr(0, text.find('%')));  // without the interface
}

// Checks the address after name resolution: any name may resolve to a link-local address. One of
// the proxy is the choice of this node.
curl_socket_t OpenSocket(void* exchange, curlsocktype, curl_sockaddr* address) {
  auto* self = static_cast<Exchange*>(exchange);
  if (!self->request.allow_link_local && IsLinkLocal(&address->addr) &&
      AddressOf(*address) != self->proxy) {
    self->failure = absl::InvalidArgumentError("link-local addresses are not allowed");
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

CURLcode ChooseAmongClients(CURL*, void* context, void* exchange) {
  auto* self = static_cast<Exchange*>(exchange);
  self->failure = ChooseClientCertificate(context, self->request.tls.clients);
  return self->failure.ok() ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

// Errors with certificates, of either side: a retry would not help.
bool IsTrustFailure(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
         code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR;
}

// NO_PROXY for libcurl, which knows neither "*.domain", "host:port" and "[address]:port" nor a "*"
// among others.
std::string WithoutProxy(absl::string_view exceptions, absl::string_view port) {
  std::vector<std::string> hosts;
  for (absl::string_view host : absl::StrSplit(exceptions, ',')) {
    host = absl::StripAsciiWhitespace(host);
    if (host == "*") return "*";
    (void)absl::ConsumePrefix(&host, "*");
    const bool bracketed = absl::ConsumePrefix(&host, "[");
    const size_t end = std::min(host.find(bracketed ? ']' : ':'), host.size());
    absl::string_view only_port = host.substr(end);
    (void)absl::ConsumePrefix(&only_port, "]");
    (void)absl::ConsumePrefix(&only_port, ":");
    const bool address = !bracketed && absl::StrContains(only_port, ':');  // of IPv6
    if (!address && !only_port.empty() && only_port != port) continue;
    hosts.emplace_back(address ? host : host.substr(0, end));
  }
  return absl::StrJoin(hosts, ",");
}

const char* Environment(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const char* const value = getenv(name); value != nullptr) return value;
  }
  return "";
}

// Of the environment's proxy, as the URL has it: an address without brackets, or a name.
std::string ProxyHost(const Url& url) {
  absl::string_view text =
      url.scheme() == "http"
          ? Environment({"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"})
          : Environment({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
  const size_t scheme = text.find("://");
  if (scheme != absl::string_view::npos) text.remove_prefix(scheme + 3);
  text = text.substr(0, text.find('/'));
  const size_t user = text.rfind('@');
  if (user != absl::string_view::npos) text.remove_prefix(user + 1);
  const bool bracketed = absl::ConsumePrefix(&text, "[");
  return std::string(text.substr(0, text.find_first_of(bracketed ? "]%" : ":")));
}

long Milliseconds(absl::Duration duration) {
  return static_cast<long>(std::max<int64_t>(1, absl::ToInt64Milliseconds(duration)));
}

}  // namespace

struct HttpClient::Curl {
  CURLM* multi = curl_multi_init();
  CURL* easy = curl_easy_init();
  ~Curl() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }

  void Configure(const HttpRequest& request, Exchange& exchange, curl_slist* headers) const;
  void ConfigureProxy(const Url& url) const;
  void ConfigureTls(Exchange& exchange) const;
  CURLcode Transfer(Exchange& exchange) const;
  std::string Words(const Exchange& exchange, CURLcode code) const;
};

void HttpClient::Curl::Configure(const HttpRequest& request, Exchange& exchange,
                                 curl_slist* headers) const {
  curl_easy_reset(easy);
  curl_easy_setopt(easy, CURLOPT_URL, request.url.text().c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "crisp/" CRISP_VERSION);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReadBuffer);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(request.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange.curl_words);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, HeaderCallback);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, BodyCallback);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // they are a proxy's
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &exchange);
  ConfigureProxy(request.url);
  // Sends the same Accept-Encoding as other requests have; what libcurl is told here, it decodes.
  if (request.decode_gzip) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
  if (request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.form.size()));
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request.form.c_str());
  }
  ConfigureTls(exchange);
}

// libcurl reads http_proxy, HTTPS_PROXY and NO_PROXY itself, but not all that other runtimes take.
void HttpClient::Curl::ConfigureProxy(const Url& url) const {
  // A proxy cannot reach the loopback of this node.
  if (url.IsLoopback()) curl_easy_setopt(easy, CURLOPT_PROXY, "");
  const char* const proxy = getenv("HTTP_PROXY");
  if (!url.IsLoopback() && url.scheme() == "http" && proxy != nullptr &&
      getenv("http_proxy") == nullptr) {
    curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
  }
  const char* const exceptions = getenv(getenv("no_proxy") != nullptr ? "no_proxy" : "NO_PROXY");
  if (exceptions == nullptr) return;
  curl_easy_setopt(easy, CURLOPT_NOPROXY, WithoutProxy(exceptions, url.port()).c_str());
}

void HttpClient::Curl::ConfigureTls(Exchange& exchange) const {
  const HttpTls& tls = exchange.request.tls;
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!tls.ca_pem.empty()) {
    // Replaces only the default bundle file; the CA directory of the system is trusted too.
    curl_blob blob{const_cast<char*>(tls.ca_pem.data()), tls.ca_pem.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (!tls.clients.empty()) {
    // libcurl takes one; it uses no connection again for a request that has another or none.
    const ClientCertificate& client = tls.clients.front();
    curl_easy_setopt(easy, CURLOPT_SSLCERT, client.cert_file.c_str());
    const std::string& key = client.key_file.empty() ? client.cert_file : client.key_file;
    curl_easy_setopt(easy, CURLOPT_SSLKEY, key.c_str());
  }
  if (tls.clients.size() > 1) {
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, ChooseAmongClients);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, &exchange);
  }
  if (tls.skip_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

CURLcode HttpClient::Curl::Transfer(Exchange& exchange) const {
  curl_waitfd cancelled = {
      .fd = exchange.call.cancel->fd(), .events = CURL_WAIT_POLLIN, .revents = 0};
  const unsigned watched = cancelled.fd < 0 ? 0 : 1;
  int running = 1;
  while (running > 0) {
    if (absl::Status status = exchange.call.Check(); !status.ok()) {
      exchange.failure = std::move(status);
      return CURLE_ABORTED_BY_CALLBACK;
    }
    const base::Deadline end = exchange.WindowEnd();
    if (end.Passed()) {
      const auto window = absl::Nanoseconds(end.monotonic_ns() - exchange.window_start);
      exchange.failure = absl::UnavailableError(
          absl::StrCat("less than ", exchange.pace.bytes, " bytes in ",
                       absl::FormatDuration(absl::Trunc(window, absl::Milliseconds(1)))));
      return CURLE_OPERATION_TIMEDOUT;
    }
    if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    if (running == 0) break;
    // libcurl waits for its sockets and for timers of its own besides.
    const int millis = std::min(end, exchange.call.deadline).PollMillis();
    if (curl_multi_poll(multi, &cancelled, watched, millis, nullptr) != CURLM_OK)
      return CURLE_FAILED_INIT;
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi, &left);
  return message != nullptr && message->msg == CURLMSG_DONE ? message->data.result
                                                            : CURLE_FAILED_INIT;
}

// libcurl says "Couldn't connect to server" without the reason, which is what people search for.
std::string HttpClient::Curl::Words(const Exchange& exchange, CURLcode code) const {
  const absl::string_view words =
      exchange.curl_words[0] != '\0' ? exchange.curl_words : curl_easy_strerror(code);
  long error = 0;
  if (code == CURLE_COULDNT_CONNECT) curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
  const std::string text = base::Printable(words);
  return error == 0 ? text : absl::StrCat(text, ": ", base::ErrnoText(static_cast<int>(error)));
}

void HttpTls::GoElsewhere() {
  clients.clear();
  if (skip_verify_only_here) skip_verify = false;
}

absl::string_view HttpResponse::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? absl::string_view() : absl::string_view(found->second);
}

std::string HttpResponse::PageWords() const {
  const bool page = absl::StartsWithIgnoreCase(Header("content-type"), "text/html");
  return page ? " (the answer is a page, text/html)" : "";
}

bool HttpResponse::IsGzip() const {
  const absl::string_view encoding = Header("content-encoding");
  return absl::EqualsIgnoreCase(encoding, "gzip") || absl::EqualsIgnoreCase(encoding, "x-gzip");
}

HttpClient::HttpClient(HttpPace pace) : pace_(pace) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)global;  // fails only when memory is exhausted, and then curl_easy_init() fails too
  curl_ = std::make_unique<Curl>();
}

HttpClient::~HttpClient() = default;

absl::StatusOr<HttpResponse> HttpClient::Perform(const HttpRequest& request, const base::Call& call,
                                                 BodyReader* reader) {
  if (curl_->easy == nullptr || curl_->multi == nullptr) {
    return absl::ResourceExhaustedError("no memory for an HTTP request");
  }
  if (!request.allow_link_local && request.url.IsLinkLocal()) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.url.Printable(), ": link-local addresses are not allowed"));
  }
  UniqueList headers;
  std::vector<std::string> lines = request.headers;
  // Without it a proxy may compress a body, which then has another digest.
  if (!request.decode_gzip) lines.emplace_back("Accept-Encoding: identity");
  for (const std::string& header : lines) {
    curl_slist* longer = curl_slist_append(headers.get(), header.c_str());
    if (longer == nullptr) return absl::ResourceExhaustedError("no memory for an HTTP request");
    (void)headers.release();
    headers.reset(longer);
  }
  Exchange exchange(request, call, pace_, reader);
  exchange.proxy = ProxyHost(request.url);
  curl_->Configure(request, exchange, headers.get());
  curl_multi_add_handle(curl_->multi, curl_->easy);
  const CURLcode code = curl_->Transfer(exchange);
  curl_multi_remove_handle(curl_->multi, curl_->easy);

  const std::string what = absl::StrCat(request.method, " ", request.url.Printable());
  if (!exchange.failure.ok()) {
    const absl::Status& failure = exchange.failure;
    return absl::Status(failure.code(), absl::StrCat(what, ": ", failure.message()));
  }
  if (code == CURLE_OK && reader != nullptr && !exchange.body_started &&
      exchange.response.status / 100 == 2) {
    if (!exchange.ToReader("")) return exchange.failure;  // Start() must run for an empty body too
  }
  if (code == CURLE_OK || exchange.cut_short) return std::move(exchange.response);
  const std::string message = absl::StrCat(what, ": ", curl_->Words(exchange, code));
  if (code == CURLE_BAD_CONTENT_ENCODING) return absl::DataLossError(message);
  return IsTrustFailure(code) ? absl::FailedPreconditionError(message)
                              : absl::UnavailableError(message);
}

}  // namespace crisp::image
