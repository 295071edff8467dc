#include "shim_client/spare_shim.h"

#include <utility>

#include "base/status_macros.h"
#include "linux/reap.h"

namespace crisp::shim_client {
namespace {

void End(const NamelessShim& shim) { linux::EndChild(shim.process.pid, shim.process.pidfd.get()); }

}  // namespace

SpareShim::~SpareShim() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
  absl::MutexLock lock(&mu_);
  if (spare_.has_value()) End(*spare_);
}

absl::Status SpareShim::Start() {
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("spare shim", [this] { Run(); }));
  return absl::OkStatus();
}

std::optional<NamelessShim> SpareShim::Take(ArgumentSizes sizes) {
  absl::MutexLock lock(&mu_);
  const bool fits = spare_.has_value() && spare_->sizes == sizes;
  sizes_ = sizes;
  return fits ? std::exchange(spare_, std::nullopt) : std::nullopt;
}

void SpareShim::Refill() {
  absl::MutexLock lock(&mu_);
  wanted_ = true;
  changed_.NotifyAll();
}

std::optional<ArgumentSizes> SpareShim::AwaitWanted() {
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    const bool missing = !spare_.has_value() || !(spare_->sizes == sizes_);
    // The sizes are not known before the first launch.
    if (std::exchange(wanted_, false) && missing && sizes_.id != 0) return sizes_;
    changed_.Wait(mu_, base::Deadline::Never());
  }
  return std::nullopt;
}

void SpareShim::Run() {
  while (const std::optional<ArgumentSizes> sizes = AwaitWanted()) {
    absl::StatusOr<NamelessShim> made = spawn_(*sizes);
    if (!made.ok()) continue;  // a launch makes its own then, and tells of the error
    std::optional<NamelessShim> old = *std::move(made);
    {
      absl::MutexLock lock(&mu_);
      std::swap(old, spare_);
    }
    if (old.has_value()) End(*old);
  }
}

}  // namespace crisp::shim_client
