#include "base/call.h"

#include <sys/eventfd.h>

#include <utility>

namespace crisp::base {

void CancelToken::Cancel() {
  absl::MutexLock lock(&mu_);
  if (cancelled_) return;
  cancelled_ = true;
  if (event_.valid()) (void)eventfd_write(event_.get(), 1);
  for (const auto& [key, wake] : wakes_) wake();
}

int CancelToken::fd() {
  absl::MutexLock lock(&mu_);
  if (!event_.valid()) event_.reset(eventfd(cancelled_ ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK));
  return event_.get();
}

CancelToken::Subscription::Subscription(CancelToken& token, std::function<void()> wake)
    : token_(token) {
  absl::MutexLock lock(&token_.mu_);
  if (token_.cancelled_) wake();
  key_ = token_.next_key_++;
  token_.wakes_[key_] = std::move(wake);
}

CancelToken::Subscription::~Subscription() {
  absl::MutexLock lock(&token_.mu_);
  token_.wakes_.erase(key_);
}

absl::Status Call::Check() const {
  if (cancel->cancelled()) return absl::CancelledError("the client is gone");
  if (deadline.Passed()) return absl::DeadlineExceededError("the client's deadline has passed");
  return absl::OkStatus();
}

}  // namespace crisp::base
