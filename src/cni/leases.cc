#include "cni/leases.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "cni/result.h"

namespace crisp::cni {
namespace {

constexpr size_t kMaxLeaseBytes = 4096;

}  // namespace

// A lease is a file that begins with the id of its container.
absl::Status CheckLeases(const NetworkConf& network, const CacheEntry& entry) {
  const absl::StatusOr<Result> result = ParseResult(entry.result, network.cni_version);
  if (!result.ok()) return absl::OkStatus();  // no ADD has succeeded
  for (const PluginConf& plugin : network.plugins) {
    if (plugin.lease_dir.empty()) continue;
    for (const std::string& ip : result->ips) {
      const absl::StatusOr<std::string> lease =
          base::ReadFile(base::JoinPath(plugin.lease_dir, ip), kMaxLeaseBytes);
      if (absl::IsResourceExhausted(lease.status())) return lease.status();
      if (!lease.ok() || !absl::StartsWith(*lease, entry.container_id)) continue;
      return absl::UnavailableError(absl::StrCat("cni del: plugin ", plugin.type, ": the lease of ",
                                                 ip, " is still in ", plugin.lease_dir));
    }
  }
  return absl::OkStatus();
}

}  // namespace crisp::cni
