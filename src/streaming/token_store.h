// Requests waiting for their client, each behind a random single-use token. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "streaming/request.h"

namespace crisp::streaming {

class TokenStore {
 public:
  TokenStore(size_t max_tokens, absl::Duration lifetime);

  // 64 hexadecimal digits, 256 bits from getrandom(2): guessing is hopeless and looking one up by
  // its hash tells nothing about the others. kResourceExhausted when max_tokens are waiting.
  absl::StatusOr<std::string> Add(Request request);

  // Hands the request out once, whatever becomes of it; nothing for a token that is unknown, used
  // or too old.
  std::optional<Request> Take(const std::string& token);

 private:
  struct Waiting {
    Request request;
    int64_t deadline_ns;
    std::list<std::string>::iterator place;  // in by_age_
  };

  void DropExpired(int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_tokens_;
  const int64_t lifetime_ns_;
  absl::Mutex mutex_;
  std::unordered_map<std::string, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> by_age_ ABSL_GUARDED_BY(mutex_);  // their tokens, oldest first
};

}  // namespace crisp::streaming
