#include "cli/http_get.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/deadline.h"

namespace crisp::cli {
namespace {

// The body does not matter; more of it than this is not read.
constexpr size_t kMaxBody = 10 << 10;

size_t TakeBody(char*, size_t size, size_t count, void* taken) {
  size_t& total = *static_cast<size_t*>(taken);
  total += size * count;
  return total > kMaxBody ? 0 : size * count;
}

struct Free {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(char* text) const { curl_free(text); }
};

using Headers = std::unique_ptr<curl_slist, Free>;

void AddHeader(const std::string& header, Headers& headers) {
  headers.reset(curl_slist_append(headers.release(), header.c_str()));
}

// Without the port; empty for what is not a URL.
std::string HostOf(const std::string& url) {
  const std::unique_ptr<CURLU, Free> parsed(curl_url());
  char* host = nullptr;
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_HOST, &host, 0) != CURLUE_OK)
    return "";
  return std::unique_ptr<char, Free>(host).get();
}

struct Answer {
  long code = 0;
  std::string redirect;  // where to, if anywhere
};

absl::StatusOr<Answer> Get(CURL* easy, const std::string& url, base::Deadline deadline) {
  size_t taken = 0;
  char words[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  // Zero would mean without end.
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, std::max<long>(deadline.PollMillis(), 1));
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, words);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &taken);
  const CURLcode result = curl_easy_perform(easy);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);
  const bool is_long = result == CURLE_WRITE_ERROR && taken > kMaxBody;
  if (result != CURLE_OK && !is_long) {
    return absl::UnavailableError(
        absl::StrCat(url, ": ", *words != '\0' ? words : curl_easy_strerror(result)));
  }
  Answer answer;
  char* redirect = nullptr;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.code);
  curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) answer.redirect = redirect;
  return answer;
}

}  // namespace

absl::StatusOr<long> HttpStatus(const std::string& url,
                                const std::vector<std::pair<std::string, std::string>>& headers,
                                absl::Duration timeout) {
  constexpr int kMaxRequests = 10;
  const base::Deadline deadline = base::Deadline::In(timeout);
  const std::unique_ptr<CURL, Free> easy(curl_easy_init());
  if (easy == nullptr) return absl::ResourceExhaustedError("no memory for an HTTP request");
  Headers list;
  bool has_agent = false;
  for (const auto& [name, value] : headers) {
    // With "name:" curl would send no such header.
    AddHeader(value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value), list);
    has_agent = has_agent || absl::EqualsIgnoreCase(name, "User-Agent");
  }
  curl_easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, list.get());
  curl_easy_setopt(easy.get(), CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(easy.get(), CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, TakeBody);
  if (!has_agent) curl_easy_setopt(easy.get(), CURLOPT_USERAGENT, "crisp-probe/" CRISP_VERSION);
  std::string target = url;
  for (int requests = 0; requests < kMaxRequests; ++requests) {
    absl::StatusOr<Answer> answer = Get(easy.get(), target, deadline);
    if (!answer.ok()) return answer.status();
    if (answer->redirect.empty() || HostOf(answer->redirect) != HostOf(url)) return answer->code;
    target = std::move(answer->redirect);
  }
  return absl::UnavailableError(absl::StrCat(url, ": redirected ", kMaxRequests, " times"));
}

}  // namespace crisp::cli
