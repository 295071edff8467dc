// The leases of the IPAM plugin host-local: its files, its lock and the order in which it gives
// addresses, so that the engine and the plugin can take turns on one directory.
//   <directory>/lock                   flock(2), held for as long as anything is looked at
//   <directory>/<address>              "<container id>\r\n<interface>"
//   <directory>/last_reserved_ip.<n>   of range set <n>; the search goes on after it
// Thread-safe: the lock is for the threads of one process, too.
// Source: containernetworking/plugins 1.1.1, plugins/ipam/host-local/backend.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/conf.h"

namespace crisp::cni::native {

struct LeaseOwner {
  std::string container_id;
  std::string interface;
};

struct Lease {
  Prefix address;  // with the length of its subnet
  Address gateway;
};

// Takes an address of each range set, in their order; none at all on an error, which is one when
// the owner has a lease already, too. kDeadlineExceeded when another process holds the lock.
absl::StatusOr<std::vector<Lease>> Reserve(const HostLocalConf& conf, const LeaseOwner& owner,
                                           base::Deadline deadline);

// The owner's addresses. None when the directory does not exist.
absl::StatusOr<std::vector<Address>> FindLeases(const HostLocalConf& conf, const LeaseOwner& owner,
                                                base::Deadline deadline);

// Gives all addresses of the owner back. OK when there are none. `known`: what the owner has had,
// as far as that is on record. A power cut can leave the file of such an address empty, because
// neither engine nor plugin syncs it; then only the record tells whose it is.
absl::Status Release(const HostLocalConf& conf, const LeaseOwner& owner, base::Deadline deadline,
                     const std::vector<Address>& known = {});

}  // namespace crisp::cni::native
