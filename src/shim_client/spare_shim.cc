#include "shim_client/spare_shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <iterator>
#include <utility>

#include "base/errno.h"
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
  }
  Wake();
  thread_.Join();
  absl::MutexLock lock(&mu_);
  if (spare_.has_value()) End(*spare_);
}

absl::Status SpareShim::Start() {
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return base::Errno("eventfd", "spare shim");
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
  {
    absl::MutexLock lock(&mu_);
    wanted_ = true;
  }
  Wake();
}

void SpareShim::Wake() const {
  if (wake_.valid()) eventfd_write(wake_.get(), 1);
}

// Another one is made after the next launch: what has killed this one may kill each.
void SpareShim::ForgetDead() {
  if (!spare_.has_value()) return;
  const linux::Child& shim = spare_->process;
  if (!linux::AwaitEnd(shim.pidfd.get(), base::Deadline::At(0))) return;
  (void)linux::Reap(shim.pid, shim.pidfd.get(), base::Deadline::At(0));
  spare_.reset();
}

std::optional<ArgumentSizes> SpareShim::AwaitWanted() {
  while (true) {
    // A duplicate: a launch that takes the spare shim may close its pidfd meanwhile, and poll(2)
    // would hold open what has the number by then. Without a descriptor the end is seen later.
    base::UniqueFd pidfd;
    {
      absl::MutexLock lock(&mu_);
      if (stopping_) return std::nullopt;
      ForgetDead();
      const bool missing = !spare_.has_value() || !(spare_->sizes == sizes_);
      // The sizes are not known before the first launch.
      if (std::exchange(wanted_, false) && missing && sizes_.id != 0) return sizes_;
      if (spare_.has_value()) pidfd.reset(fcntl(spare_->process.pidfd.get(), F_DUPFD_CLOEXEC, 0));
    }
    pollfd events[] = {{.fd = wake_.get(), .events = POLLIN, .revents = 0},
                       {.fd = pidfd.get(), .events = POLLIN, .revents = 0}};
    if (poll(events, std::size(events), -1) > 0 && events[0].revents != 0) {
      eventfd_t unused;
      (void)eventfd_read(wake_.get(), &unused);
    }
  }
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
