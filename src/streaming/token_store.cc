#include "streaming/token_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/id.h"

namespace crisp::streaming {

TokenStore::TokenStore(size_t max_tokens, absl::Duration lifetime)
    : max_tokens_(max_tokens), lifetime_ns_(absl::ToInt64Nanoseconds(lifetime)) {}

absl::StatusOr<std::string> TokenStore::Add(Request request) {
  const int64_t now = base::MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  DropExpired(now);
  if (waiting_.size() >= max_tokens_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("streaming: ", max_tokens_, " requests already wait for their clients"));
  }
  std::string token = base::NewId();
  auto place = by_age_.insert(by_age_.end(), token);
  waiting_.emplace(token, Waiting{std::move(request), now + lifetime_ns_, place});
  return token;
}

std::optional<Request> TokenStore::Take(const std::string& token) {
  const int64_t now = base::MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  DropExpired(now);
  auto found = waiting_.find(token);
  if (found == waiting_.end()) return std::nullopt;
  Request request = std::move(found->second.request);
  by_age_.erase(found->second.place);
  waiting_.erase(found);
  return request;
}

void TokenStore::DropExpired(int64_t now_ns) {
  while (!by_age_.empty()) {
    auto oldest = waiting_.find(by_age_.front());
    if (oldest->second.deadline_ns > now_ns) return;
    waiting_.erase(oldest);
    by_age_.pop_front();
  }
}

}  // namespace crisp::streaming
