// Objects of one kind by id, in memory. Thread-safe; readers get shared pointers and hold no lock
// afterwards.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace crisp::store {

template <typename T>
class Index {
 public:
  // `noun` names the kind in errors: "container", "sandbox".
  explicit Index(std::string noun) : noun_(std::move(noun)) {}

  void Add(std::shared_ptr<T> object) {
    absl::MutexLock lock(&mu_);
    std::string id = object->id().str();
    objects_[std::move(id)] = std::move(object);
  }

  void Remove(const T& object) {
    absl::MutexLock lock(&mu_);
    objects_.erase(object.id().str());
  }

  // By id or by a prefix only one object has (crictl shows 13 characters). kNotFound for an empty
  // or unknown one, kInvalidArgument for an ambiguous one.
  absl::StatusOr<std::shared_ptr<T>> Find(absl::string_view prefix) const {
    absl::ReaderMutexLock lock(&mu_);
    auto it = objects_.lower_bound(std::string(prefix));
    if (prefix.empty() || it == objects_.end() || !absl::StartsWith(it->first, prefix)) {
      return absl::NotFoundError(absl::StrCat(noun_, " \"", prefix, "\" not found"));
    }
    auto next = std::next(it);
    if (it->first != prefix && next != objects_.end() && absl::StartsWith(next->first, prefix)) {
      return absl::InvalidArgumentError(
          absl::StrCat(noun_, " id prefix \"", prefix, "\" is ambiguous"));
    }
    return it->second;
  }

  // Every object, by id.
  std::vector<std::shared_ptr<T>> List() const {
    absl::ReaderMutexLock lock(&mu_);
    std::vector<std::shared_ptr<T>> all;
    all.reserve(objects_.size());
    for (const auto& [id, object] : objects_) all.push_back(object);
    return all;
  }

 private:
  const std::string noun_;
  mutable absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<T>> objects_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::store
