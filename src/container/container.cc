#include "container/container.h"

namespace crisp::container {

runtime::v1::ContainerState Container::state() const {
  if (record_.Read([](const store::ContainerRecord& r) { return r.outcome.has_value(); })) {
    return runtime::v1::CONTAINER_EXITED;
  }
  absl::ReaderMutexLock lock(&mu_);
  return init_.has_value() ? runtime::v1::CONTAINER_RUNNING : runtime::v1::CONTAINER_CREATED;
}

std::optional<Init> Container::init() const {
  absl::ReaderMutexLock lock(&mu_);
  return init_;
}

void Container::MarkStarted(Init init) {
  absl::MutexLock lock(&mu_);
  init_ = std::move(init);
}

absl::Status Container::MarkExited(const store::Outcome& outcome,
                                   const std::function<void()>& announce) {
  absl::Status status = record_.UpdateAnyway([&](store::ContainerRecord& record) {
    if (!record.outcome.has_value()) record.outcome = outcome;
  });
  announce();
  absl::MutexLock lock(&mu_);
  exited_ = true;
  return status;
}

bool Container::WaitExited(absl::Time deadline) const {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithDeadline(absl::Condition(&exited_), deadline);
}

}  // namespace crisp::container
