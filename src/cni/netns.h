// Network namespaces by file descriptor and by pinned path, in the form of ip-netns(8): a bind
// mount of /proc/<pid>/ns/net over a file below /run/netns. The shim's clone makes the namespace;
// crispd pins it, so that it outlives the pause process until StopPodSandbox is done. Thread-safe:
// no shared state.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace crisp::cni {

inline constexpr char kNetnsDir[] = "/run/netns";

// /run/netns/cni-<uuid>, the form that other tools look for. The uuid is the beginning of the
// sandbox id (64 random hex characters): crispd finds the pin of a sandbox without its record.
std::string NetnsPath(absl::string_view sandbox_id);

// Opens a network namespace: "/proc/<pid>/ns/net" or a pinned path. kFailedPrecondition when the
// file is not a network namespace (a pin whose mount is gone is an empty plain file).
absl::StatusOr<base::UniqueFd> OpenNetns(const std::string& path);

// As OpenNetns, but not valid when no namespace is there any more. Other errors say nothing of it,
// such as kResourceExhausted without a free descriptor.
absl::StatusOr<base::UniqueFd> FindNetns(const std::string& path);

// Bind-mounts the namespace at <dir>/<name> and returns that path. If needed, first makes `dir` a
// shared mount, under the same lock as `ip netns add`. Leaves nothing behind on failure;
// kAlreadyExists when the name exists.
absl::StatusOr<std::string> PinNetns(int netns_fd, absl::string_view name,
                                     const std::string& dir = kNetnsDir);

// Undoes PinNetns. A missing path, or a plain file in its place, is OK.
absl::Status UnpinNetns(const std::string& path);

// Runs `work` on a new thread inside the namespace and waits for it. Sockets made by `work` stay in
// the namespace; any thread may use them afterwards.
absl::Status RunInNetns(int netns_fd, const std::function<absl::Status()>& work);

// Brings `lo` up; the kernel then adds 127.0.0.1 and ::1.
absl::Status SetLoopbackUp(int netns_fd);

// Counters since the interface was made, from /proc/net/dev.
struct InterfaceStats {
  std::string name;
  uint64_t rx_bytes = 0;
  uint64_t rx_packets = 0;
  uint64_t rx_errors = 0;
  uint64_t rx_dropped = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_errors = 0;
  uint64_t tx_dropped = 0;
};

// Every interface of a process's network namespace, `lo` included, in the kernel's order; of the
// thousands a pod may make only the first. `process` is a descriptor of /proc/<pid>.
absl::StatusOr<std::vector<InterfaceStats>> ReadInterfaceStats(int process);
// The text of a /proc/<pid>/net/dev file.
absl::StatusOr<std::vector<InterfaceStats>> ParseInterfaceStats(absl::string_view text);

}  // namespace crisp::cni
