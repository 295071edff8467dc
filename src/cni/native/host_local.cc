#include "cni/native/host_local.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace crisp::cni::native {
namespace {

constexpr size_t kMaxLeaseBytes = 4096;
constexpr char kDraftPrefix[] = "crisp-";

// host-local holds the lock for microseconds. Nothing tells when it is given up: flock(2) waits
// without a limit, or not at all.
absl::StatusOr<base::UniqueFd> Lock(const std::string& directory, base::Deadline deadline) {
  const std::string path = base::JoinPath(directory, "lock");
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd lock,
                         base::Open(path, O_RDONLY | O_CREAT | O_NONBLOCK, 0750));
  absl::Duration pause = absl::Microseconds(100);
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return base::Errno("lock", path);
    if (deadline.Passed()) {
      return absl::DeadlineExceededError(absl::StrCat(path, " is locked by another process"));
    }
    absl::SleepFor(std::min(pause, deadline.Left()));
    pause = std::min(pause * 2, absl::Milliseconds(5));
  }
  return lock;
}

absl::StatusOr<bool> Exists(const std::string& directory) {
  if (access(directory.c_str(), F_OK) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return base::Errno("find", directory);
}

// O_NONBLOCK, here and elsewhere: open(2) must not block on a FIFO with the name of a lease.
absl::StatusOr<std::string> ReadLease(const std::string& path) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return base::Errno("stat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  return base::ReadAll(fd.get(), kMaxLeaseBytes);
}

// The names of the files that have the owner's words. Versions of host-local before 0.8 wrote no
// interface. Removes drafts: there is one only while the lock is held, so a crispd that was killed
// has left it.
absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& directory,
                                                 const LeaseOwner& owner) {
  const std::string words = absl::StrCat(owner.container_id, "\r\n", owner.interface);
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::ListDir(directory));
  std::vector<std::string> files;
  for (const std::string& name : names) {
    const std::string path = base::JoinPath(directory, name);
    if (absl::StartsWith(name, kDraftPrefix)) {
      (void)unlink(path.c_str());
      continue;
    }
    const absl::StatusOr<std::string> text = ReadLease(path);
    // Without a descriptor it may be the owner's lease.
    if (absl::IsResourceExhausted(text.status())) return text.status();
    if (!text.ok()) continue;  // the plugin skips it, too
    const absl::string_view lease = absl::StripAsciiWhitespace(*text);
    if (lease == words || lease == owner.container_id) files.push_back(name);
  }
  return files;
}

// As many as it can, like the plugin: who calls DEL looks for leases that are left (network.cc).
void RemoveFiles(const std::string& directory, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string path = base::JoinPath(directory, name);
    if (unlink(path.c_str()) == 0 || errno == ENOENT) continue;
    base::Log(base::LogLevel::kWarning, "a lease stays",
              {{"error", std::string(base::Errno("remove", path).message())}});
  }
}

std::vector<Address> AddressesOf(const std::vector<std::string>& files) {
  std::vector<Address> addresses;
  for (const std::string& name : files) {
    const std::optional<Address> address = ParseAddress(name);
    if (address.has_value()) addresses.push_back(*address);
  }
  return addresses;
}

const Range* RangeWith(const RangeSet& set, const Address& address) {
  for (const Range& range : set) {
    if (Contains(range.subnet, address) && range.start <= address && address <= range.end) {
      return &range;
    }
  }
  return nullptr;
}

// Goes once around a range set, from the address after the one leased last.
class Round {
 public:
  Round(const RangeSet& set, const std::optional<Address>& last) : set_(set) {
    const Range* range = last.has_value() ? RangeWith(set, *last) : nullptr;
    if (range == nullptr) return;
    at_ = static_cast<size_t>(range - set.data());
    current_ = *last;
  }

  // The range of the next address, which is current(); nullptr at the end of the round.
  const Range* Next() {
    do {
      if (!current_.has_value()) {
        current_ = set_[at_].start;
      } else if (*current_ == set_[at_].end) {
        at_ = (at_ + 1) % set_.size();
        current_ = set_[at_].start;
      } else {
        current_ = native::Next(*current_);
      }
      if (first_ == current_) return nullptr;
      if (!first_.has_value()) first_ = current_;
    } while (*current_ == set_[at_].gateway);
    return &set_[at_];
  }
  const Address& current() const { return *current_; }

 private:
  const RangeSet& set_;
  size_t at_ = 0;
  std::optional<Address> current_;
  std::optional<Address> first_;
};

// The leases of one ADD, while the lock is held. Those that are not kept are given back.
class Booking {
 public:
  Booking(std::string directory, const LeaseOwner& owner)
      : directory_(std::move(directory)),
        owner_(owner),
        draft_(base::JoinPath(directory_, absl::StrCat(kDraftPrefix, owner.container_id))) {}
  ~Booking() {
    unlink(draft_.c_str());
    if (!kept_) RemoveFiles(directory_, taken_);
  }
  Booking(const Booking&) = delete;
  Booking& operator=(const Booking&) = delete;

  // A lease is complete when it gets its name: whatever ends crispd, it leaves no file without an
  // owner. The draft is a new file: one that was left may be a lease under another name.
  absl::Status Open() {
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd draft,
                           base::Open(draft_, O_WRONLY | O_CREAT | O_EXCL, 0644));
    base::Failpoint("cni lease: draft made");
    return base::WriteAll(draft.get(), absl::StrCat(owner_.container_id, "\r\n", owner_.interface));
  }

  // False when the address is taken.
  absl::StatusOr<bool> Take(const Address& address, size_t set) {
    const std::string name = ToString(address);
    const std::string path = base::JoinPath(directory_, name);
    if (link(draft_.c_str(), path.c_str()) != 0) {
      if (errno == EEXIST) return false;
      return base::Errno("make", path);
    }
    taken_.push_back(name);
    base::Failpoint("cni lease: taken");
    CRISP_ASSIGN_OR_RETURN(
        const base::UniqueFd last,
        base::Open(LastPath(set), O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0644));
    CRISP_RETURN_IF_ERROR(base::WriteAll(last.get(), name));
    return true;
  }

  absl::StatusOr<std::optional<Address>> Last(size_t set) const {
    const absl::StatusOr<std::string> last = ReadLease(LastPath(set));
    if (absl::IsResourceExhausted(last.status())) return last.status();
    return ParseAddress(last.value_or(""));
  }
  void Keep() { kept_ = true; }

 private:
  std::string LastPath(size_t set) const {
    return base::JoinPath(directory_, absl::StrCat("last_reserved_ip.", set));
  }

  const std::string directory_;
  const LeaseOwner& owner_;
  const std::string draft_;
  std::vector<std::string> taken_;
  bool kept_ = false;
};

absl::StatusOr<Lease> TakeRequested(const RangeSet& set, size_t index, const Address& address,
                                    Booking& booking) {
  const Range& range = *RangeWith(set, address);
  if (address == range.gateway) {
    return absl::FailedPreconditionError(
        absl::StrCat("requested ip ", ToString(address), " is subnet's gateway"));
  }
  CRISP_ASSIGN_OR_RETURN(const bool taken, booking.Take(address, index));
  if (taken) return Lease{{address, range.subnet.length}, range.gateway};
  return absl::FailedPreconditionError(
      absl::StrCat("requested IP address ", ToString(address), " is not available"));
}

absl::StatusOr<Lease> TakeNext(const RangeSet& set, size_t index, Booking& booking,
                               base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const std::optional<Address> last, booking.Last(index));
  Round round(set, last);
  while (const Range* range = round.Next()) {
    CRISP_ASSIGN_OR_RETURN(const bool taken, booking.Take(round.current(), index));
    if (taken) return Lease{{round.current(), range->subnet.length}, range->gateway};
    if (deadline.Passed()) return absl::DeadlineExceededError("no free address found in time");
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("no IP addresses available in range set: ", ToString(set.front().start), "-",
                   ToString(set.back().end)));
}

absl::StatusOr<Lease> TakeOne(const RangeSet& set, size_t index, std::vector<Address>& requested,
                              const std::vector<Address>& owned, Booking& booking,
                              base::Deadline deadline) {
  const auto in_set = [&](const Address& address) { return RangeWith(set, address) != nullptr; };
  const auto wanted = std::find_if(requested.begin(), requested.end(), in_set);
  if (wanted != requested.end()) {
    const Address address = *wanted;
    requested.erase(wanted);
    return TakeRequested(set, index, address, booking);
  }
  const auto twice = std::find_if(owned.begin(), owned.end(), in_set);
  if (twice == owned.end()) return TakeNext(set, index, booking, deadline);
  return absl::FailedPreconditionError(
      absl::StrCat(ToString(*twice),
                   " has been allocated already, duplicate allocation is not "
                   "allowed"));
}

}  // namespace

absl::StatusOr<std::vector<Lease>> Reserve(const HostLocalConf& conf, const LeaseOwner& owner,
                                           base::Deadline deadline) {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(conf.directory, 0755));
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd lock, Lock(conf.directory, deadline));
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesOf(conf.directory, owner));
  const std::vector<Address> owned = AddressesOf(files);
  std::vector<Address> requested = conf.requested;
  Booking booking(conf.directory, owner);
  CRISP_RETURN_IF_ERROR(booking.Open());
  std::vector<Lease> leases;
  for (size_t i = 0; i < conf.sets.size(); ++i) {
    absl::StatusOr<Lease> lease = TakeOne(conf.sets[i], i, requested, owned, booking, deadline);
    if (!lease.ok()) {
      return base::Prefix(lease.status(), absl::StrCat("failed to allocate for range ", i));
    }
    leases.push_back(*lease);
  }
  if (!requested.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("failed to allocate all requested IPs: ", ToString(requested.front())));
  }
  booking.Keep();
  return leases;
}

absl::StatusOr<std::vector<Address>> FindLeases(const HostLocalConf& conf, const LeaseOwner& owner,
                                                base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const bool exists, Exists(conf.directory));
  if (!exists) return std::vector<Address>();
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd lock, Lock(conf.directory, deadline));
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesOf(conf.directory, owner));
  return AddressesOf(files);
}

absl::Status Release(const HostLocalConf& conf, const LeaseOwner& owner, base::Deadline deadline,
                     const std::vector<Address>& known) {
  CRISP_ASSIGN_OR_RETURN(const bool exists, Exists(conf.directory));
  if (!exists) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd lock, Lock(conf.directory, deadline));
  CRISP_ASSIGN_OR_RETURN(std::vector<std::string> files, FilesOf(conf.directory, owner));
  for (const Address& address : known) {
    const auto text = ReadLease(base::JoinPath(conf.directory, ToString(address)));
    if (absl::IsResourceExhausted(text.status())) return text.status();
    if (text.ok() && text->empty()) files.push_back(ToString(address));
  }
  RemoveFiles(conf.directory, files);
  base::Failpoint("cni lease: given back");
  return absl::OkStatus();
}

}  // namespace crisp::cni::native
