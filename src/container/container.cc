#include "container/container.h"

#include "base/check.h"
#include "base/failpoint.h"

namespace crisp::container {
namespace {

std::function<void(store::ContainerRecord&)> FirstOutcome(const store::Outcome& outcome) {
  return [outcome](store::ContainerRecord& record) {
    if (!record.outcome.has_value()) record.outcome = outcome;
  };
}

}  // namespace

Container::Container(store::ContainerRecord record, const store::RecordDirectory* directory)
    : id_(record.id), sandbox_id_(record.sandbox_id), record_(std::move(record), directory) {
  CRISP_CHECK(!id_.empty());
  if (record_.Read([](const store::ContainerRecord& r) { return r.outcome.has_value(); }))
    exited_.Set();
}

::runtime::v1::ContainerState Container::state() const {
  if (record_.Read([](const store::ContainerRecord& r) { return r.outcome.has_value(); })) {
    return ::runtime::v1::CONTAINER_EXITED;
  }
  absl::ReaderMutexLock lock(&mu_);
  return init_.has_value() ? ::runtime::v1::CONTAINER_RUNNING : ::runtime::v1::CONTAINER_CREATED;
}

std::optional<Init> Container::init() const {
  absl::ReaderMutexLock lock(&mu_);
  return init_;
}

void Container::MarkStarted(Init init) {
  CRISP_CHECK(!exited_.is_set());
  CRISP_CHECK(init.process.pid > 0);
  absl::MutexLock lock(&mu_);
  CRISP_CHECK(!init_.has_value());
  init_ = std::move(init);
}

absl::Status Container::MarkExited(const store::Outcome& outcome,
                                   const std::function<void()>& announce) {
  CRISP_CHECK(outcome.finished_at_ns >= outcome.started_at_ns);
  absl::Status status = record_.UpdateAnyway(FirstOutcome(outcome));
  base::Failpoint("exit: on record");
  announce();
  exited_.Set();
  base::Failpoint("exit: announced");
  return status;
}

void Container::PublishExit(const store::Outcome& outcome, const std::function<void()>& announce) {
  CRISP_CHECK(outcome.finished_at_ns >= outcome.started_at_ns);
  record_.Publish(FirstOutcome(outcome));
  base::Failpoint("exit: published");
  announce();
  exited_.Set();
}

std::optional<snapshot::MeasuredUsage> Container::layer_usage() const {
  absl::ReaderMutexLock lock(&mu_);
  return layer_usage_;
}

void Container::SetLayerUsage(const snapshot::MeasuredUsage& usage) {
  absl::MutexLock lock(&mu_);
  layer_usage_ = usage;
}

std::optional<linux::OpenFiles> Container::open_files() const {
  absl::ReaderMutexLock lock(&mu_);
  return open_files_;
}

void Container::SetOpenFiles(const linux::OpenFiles& files) {
  absl::MutexLock lock(&mu_);
  open_files_ = files;
}

}  // namespace crisp::container
