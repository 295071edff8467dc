// A record in memory and on disk, changed together: readers see a change only after it is written.
// Thread-safe.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "store/record_store.h"

namespace crisp::store {

template <typename Record>
class Recorded {
 public:
  // `directory` is borrowed and outlives this.
  Recorded(Record record, const RecordDirectory* directory)
      : directory_(directory), record_(std::move(record)) {}

  Record Get() const {
    absl::ReaderMutexLock lock(&mu_);
    return record_;
  }

  // Runs `read(const Record&)` under the lock and returns what it returns: a member without a copy
  // of the whole.
  template <typename Reader>
  auto Read(Reader read) const {
    absl::ReaderMutexLock lock(&mu_);
    return read(static_cast<const Record&>(record_));
  }

  // Applies `change` to a copy, writes it, then publishes it. On a failed write nothing changed.
  absl::Status Update(const std::function<void(Record&)>& change) {
    absl::MutexLock write_lock(&write_mu_);
    Record next = Get();
    change(next);
    CRISP_RETURN_IF_ERROR(directory_->Write(next.id.str(), Encode(next)));
    absl::MutexLock lock(&mu_);
    record_ = std::move(next);
    return absl::OkStatus();
  }

  // Publishes a change whether or not it can be written: for facts that are true without a record,
  // such as an exit.
  absl::Status UpdateAnyway(const std::function<void(Record&)>& change) {
    absl::MutexLock write_lock(&write_mu_);
    Record next = Get();
    change(next);
    absl::Status status = directory_->Write(next.id.str(), Encode(next));
    absl::MutexLock lock(&mu_);
    record_ = std::move(next);
    return status;
  }

 private:
  const RecordDirectory* const directory_;
  absl::Mutex write_mu_
      ABSL_ACQUIRED_BEFORE(mu_);  // held across the write, so that writes do not pass each other
  mutable absl::Mutex mu_;
  Record record_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::store
