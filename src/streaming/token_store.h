// Keeps requests until their client connects, each under a random single-use token. Thread-safe.
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

  // Returns a token of 64 hexadecimal digits, 256 bits from getrandom(2), so that tokens cannot be
  // guessed. kResourceExhausted when max_tokens are waiting.
  absl::StatusOr<std::string> Add(Request request);

  // Returns the request and forgets it. Nothing for a token that is unknown, used or too old.
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
  std::list<std::string> by_age_ ABSL_GUARDED_BY(mutex_);  // tokens, oldest first
};

}  // namespace crisp::streaming
