// A record in memory and on disk. Thread-safe; no reader ever waits for the disk.
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

  // `change` is applied to a copy, which is written, and then to the record, so it must do the same
  // both times. Readers see it only after it is written. On a failed write nothing changed.
  absl::Status Update(const std::function<void(Record&)>& change) {
    absl::MutexLock write_lock(&write_mu_);
    CRISP_RETURN_IF_ERROR(WriteWith(change));
    Publish(change);
    return absl::OkStatus();
  }

  // Publishes a change whether or not it can be written: for facts that are true without a record.
  absl::Status UpdateAnyway(const std::function<void(Record&)>& change) {
    absl::MutexLock write_lock(&write_mu_);
    absl::Status status = WriteWith(change);
    Publish(change);
    return status;
  }

  // Does not write, so it does not wait for the disk, nor for another change that does. For what a
  // restart finds elsewhere until Write() has succeeded.
  void Publish(const std::function<void(Record&)>& change) {
    absl::MutexLock lock(&mu_);
    change(record_);
  }
  absl::Status Write() {
    absl::MutexLock write_lock(&write_mu_);
    return WriteWith([](Record&) {});
  }

 private:
  absl::Status WriteWith(const std::function<void(Record&)>& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mu_) {
    Record next = Get();
    change(next);
    return directory_->Write(next.id.str(), Encode(next));
  }

  const RecordDirectory* const directory_;
  absl::Mutex write_mu_
      ABSL_ACQUIRED_BEFORE(mu_);  // held across the write, so that writes do not pass each other
  mutable absl::Mutex mu_;
  Record record_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::store
