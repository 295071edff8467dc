#include "cli/http_get.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

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
};

using Headers = std::unique_ptr<curl_slist, Free>;

void AddHeader(const std::string& header, Headers& headers) {
  headers.reset(curl_slist_append(headers.release(), header.c_str()));
}

}  // namespace

absl::Status HttpProbe(const std::string& url,
                       const std::vector<std::pair<std::string, std::string>>& headers,
                       absl::Duration timeout) {
  const std::unique_ptr<CURL, Free> easy(curl_easy_init());
  if (easy == nullptr) return absl::ResourceExhaustedError("no memory for an HTTP request");
  Headers list;
  bool has_agent = false;
  for (const auto& [name, value] : headers) {
    AddHeader(absl::StrCat(name, ": ", value), list);
    has_agent = has_agent || absl::EqualsIgnoreCase(name, "User-Agent");
  }
  size_t taken = 0;
  char words[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, list.get());
  curl_easy_setopt(easy.get(), CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(easy.get(), CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(timeout)));
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, words);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, TakeBody);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &taken);
  if (!has_agent) curl_easy_setopt(easy.get(), CURLOPT_USERAGENT, "crisp-probe/" CRISP_VERSION);
  const CURLcode result = curl_easy_perform(easy.get());
  const bool is_long = result == CURLE_WRITE_ERROR && taken > kMaxBody;
  if (result != CURLE_OK && !is_long) {
    return absl::UnavailableError(
        absl::StrCat(url, ": ", *words != '\0' ? words : curl_easy_strerror(result)));
  }
  long code = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &code);
  if (code >= 200 && code < 400) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(url, ": HTTP status ", code));
}

}  // namespace crisp::cli
