#include "cni/native/engine.h"

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "cni/native/conf.h"
#include "cni/native/pod_interface.h"
#include "cni/native/result.h"
#include "cni/netns.h"
#include "cni/network.h"

namespace crisp::cni::native {
namespace {

using Answer = std::optional<absl::StatusOr<std::string>>;

absl::StatusOr<std::string> Empty(const absl::Status& status) {
  if (!status.ok()) return status;
  return std::string();
}

// As of an executed plugin: the kernel's "not found" is not that the caller's pod does not exist.
absl::Status Failure(const PluginCall& call, const absl::Status& status) {
  const bool kept = absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status) ||
                    absl::IsUnavailable(status);
  const absl::Status of_plugin(kept ? status.code() : absl::StatusCode::kInternal,
                               status.message());
  const char* verb = call.verb == Verb::kAdd ? "add" : "del";
  return base::Prefix(of_plugin, absl::StrCat("cni ", verb, ": plugin ", call.type));
}

absl::StatusOr<std::string> AddLoopback(const LoopbackConf& conf, const std::string& path,
                                        base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, OpenNetns(path));
  CRISP_ASSIGN_OR_RETURN(const std::vector<Prefix> addresses, SetLoopback(netns.get(), deadline));
  return conf.prev_result.empty() ? EncodeLoopbackResult(path, addresses) : conf.prev_result;
}

absl::Status DeleteLoopback(const std::string& path, base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, FindNetns(path));
  return netns.valid() ? SetLoopbackDown(netns.get(), deadline) : absl::OkStatus();
}

}  // namespace

Answer Engine::Run(const PluginCall& call, base::Deadline deadline) {
  if (call.verb != Verb::kAdd && call.verb != Verb::kDel) return std::nullopt;
  Answer answer;
  if (call.type == "bridge") answer = RunBridge(call, deadline);
  if (call.type == "loopback") answer = RunLoopback(call, deadline);
  if (call.type == "portmap") answer = RunPortmap(call, deadline);
  if (answer.has_value() && !answer->ok()) return Failure(call, answer->status());
  return answer;
}

Answer Engine::RunBridge(const PluginCall& call, base::Deadline deadline) {
  const std::optional<BridgeConf> conf = DecodeBridge(call.conf);
  if (!conf.has_value()) return std::nullopt;
  const BridgePod pod = {{call.container_id, kPodInterface}, call.netns};
  if (call.verb == Verb::kAdd) {
    if (!enabled_) return std::nullopt;
    return bridge_.Add(*conf, pod, deadline);
  }
  if (conf->ip_masq) {
    const absl::StatusOr<bool> mine = IsMine(*conf, pod, deadline);
    // Switched off, the engine only undoes what it did before: where nftables does not answer, it
    // cannot have done anything. Without a descriptor it was not asked.
    if (!mine.ok() && (enabled_ || absl::IsResourceExhausted(mine.status()))) return mine.status();
    if (!mine.value_or(false)) return std::nullopt;  // the rules, if any, are the plugin's
  } else if (!enabled_) {
    return std::nullopt;
  }
  return Empty(bridge_.Delete(*conf, pod, deadline));
}

// Switched off, the engine makes no table. So where there is none it is asked once, and not for
// each DEL of the plugins.
absl::StatusOr<bool> Engine::IsMine(const BridgeConf& conf, const BridgePod& pod,
                                    base::Deadline deadline) {
  if (!enabled_) {
    if (nothing_to_undo_) return false;
    CRISP_ASSIGN_OR_RETURN(const bool any, bridge_.HasTables(deadline));
    nothing_to_undo_ = !any;
    if (!any) return false;
  }
  return bridge_.Masquerades(conf, pod, deadline);
}

Answer Engine::RunLoopback(const PluginCall& call, base::Deadline deadline) {
  const std::optional<LoopbackConf> conf = DecodeLoopback(call.conf);
  if (!enabled_ || !conf.has_value()) return std::nullopt;
  if (call.verb == Verb::kAdd) return AddLoopback(*conf, call.netns, deadline);
  return Empty(DeleteLoopback(call.netns, deadline));
}

Answer Engine::RunPortmap(const PluginCall& call, base::Deadline deadline) {
  const std::optional<PortmapConf> conf = DecodePortmap(call.conf);
  if (!conf.has_value()) return std::nullopt;
  if (call.verb == Verb::kAdd) {
    if (!enabled_ || conf->pod.empty()) return std::nullopt;
    if (conf->ports.empty()) return conf->prev_result;
    const absl::StatusOr<bool> added = portmap_.Add(*conf, call.container_id, deadline);
    if (added.ok() && !*added) return std::nullopt;
    return added.ok() ? absl::StatusOr<std::string>(conf->prev_result) : added.status();
  }
  if (conf->ports.empty()) return enabled_ ? Answer("") : std::nullopt;
  // Also switched off, an error is not that there are none: the address would go to another pod,
  // and with it the ports.
  const absl::StatusOr<bool> deleted = DeletePorts(call.container_id, deadline);
  if (!deleted.ok()) return deleted.status();
  if (!*deleted) return std::nullopt;  // the rules, if any, are the plugin's
  return Answer("");
}

// As IsMine().
absl::StatusOr<bool> Engine::DeletePorts(const std::string& container_id, base::Deadline deadline) {
  if (!enabled_) {
    if (no_ports_to_undo_) return false;
    CRISP_ASSIGN_OR_RETURN(const bool any, portmap_.HasTables(deadline));
    no_ports_to_undo_ = !any;
    if (!any) return false;
  }
  return portmap_.Delete(container_id, deadline);
}

}  // namespace crisp::cni::native
