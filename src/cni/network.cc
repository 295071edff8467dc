#include "cni/network.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cgroup/join.h"
#include "cni/arguments.h"
#include "cni/cache.h"
#include "cni/conf.h"
#include "cni/leases.h"
#include "cni/native/engine.h"
#include "cni/netns.h"
#include "cni/plugin.h"
#include "cni/result.h"
#include "cni/stand_in.h"
#include "cni/status_probe.h"

namespace crisp::cni {
namespace {

// What an ADD that outlived its crispd gets to end by itself. Most need less than a second.
constexpr absl::Duration kFinishTime = absl::Seconds(5);

std::vector<std::string> Ordered(std::vector<std::string> ips, IpPreference preference) {
  if (preference == IpPreference::kCni) return ips;
  const bool v6_first = preference == IpPreference::kIpv6;
  std::stable_partition(ips.begin(), ips.end(), [v6_first](const std::string& ip) {
    return (ip.find(':') != std::string::npos) == v6_first;
  });
  return ips;
}

// The input of an ADD, which is its cache entry until there is a result.
absl::StatusOr<CacheEntry> NewEntry(const PodNetworkRequest& request, const NetworkConf& network) {
  CacheEntry entry;
  CRISP_ASSIGN_OR_RETURN(entry.args, PodArgs(request));
  CRISP_ASSIGN_OR_RETURN(entry.capability_args, CapabilityArgs(request, network));
  entry.network = network.name;
  entry.container_id = request.sandbox_id;
  entry.netns = request.netns_path;
  entry.config = network.json;
  return entry;
}

void LogRulesMayStay(const CacheEntry& entry, const absl::Status& why) {
  base::Log(base::LogLevel::kWarning, "the masquerade rules of a pod may stay",
            {{"sandbox", entry.container_id}, {"error", std::string(why.message())}});
}

// In the place of a pod's namespace that is lost. None (not valid) if no ADD has succeeded, or if
// the kernel cannot make one: plugins then free what they find without.
absl::StatusOr<base::UniqueFd> StandInOf(const NetworkConf& network, const CacheEntry& entry) {
  const absl::StatusOr<Result> result = ParseResult(entry.result, network.cni_version);
  if (!result.ok()) return base::UniqueFd();
  absl::StatusOr<base::UniqueFd> netns = MakeStandIn(kPodInterface, result->cidrs);
  // With more memory or descriptors the next try succeeds.
  if (netns.ok() || absl::IsResourceExhausted(netns.status())) return netns;
  LogRulesMayStay(entry, netns.status());
  return base::UniqueFd();
}

// Whether the next try may find what this one has not: time, memory, a plugin that is ready.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status);
}

// Since when DEL has failed for good, by attachment. In memory: a crispd that is started again has
// patience anew. Thread-safe.
class Refusals {
 public:
  explicit Refusals(absl::Duration patience) : patience_(patience) {}

  // DEL has failed for good once more; returns whether the patience is over.
  bool Add(const std::string& attachment) {
    absl::MutexLock lock(&mu_);
    return give_up_.try_emplace(attachment, base::Deadline::In(patience_)).first->second.Passed();
  }
  void Forget(const std::string& attachment) {
    absl::MutexLock lock(&mu_);
    give_up_.erase(attachment);
  }

 private:
  const absl::Duration patience_;
  absl::Mutex mu_;
  std::map<std::string, base::Deadline> give_up_ ABSL_GUARDED_BY(mu_);
};

class ConfiguredNetwork final : public Network {
 public:
  explicit ConfiguredNetwork(Options options)
      : options_(std::move(options)),
        cache_(options_.cache_dir),
        refusals_(options_.patience),
        probe_(options_.plugin_dirs, Group("status")),
        engine_(options_.native) {
    engine_.CollectRemains();
  }

  absl::StatusOr<PodNetwork> Attach(const PodNetworkRequest& request,
                                    base::Deadline deadline) override;
  absl::Status Detach(const PodNetworkRequest& request, base::Deadline deadline) override;
  absl::Status CollectGarbage(const std::vector<std::string>& sandbox_ids,
                              base::Deadline deadline) override;
  NetworkState State() override;

 private:
  // Of plugins that are run for no pod.
  std::string Group(const char* verb) const {
    return options_.groups.empty() ? "" : absl::StrCat(options_.groups, verb);
  }
  // `group` is PodNetworkRequest::plugin_group.
  absl::StatusOr<Result> Add(const NetworkConf& network, const CacheEntry& entry,
                             const std::string& group, base::Deadline deadline,
                             std::vector<PluginTiming>& timings);
  absl::Status Del(const NetworkConf& network, const CacheEntry& entry, const std::string& group,
                   base::Deadline deadline);
  // Of one plugin, with no namespace in `call` when the pod's is lost.
  absl::Status ExecuteDel(const NetworkConf& network, const PluginConf& plugin,
                          const CacheEntry& entry, PluginCall call, base::UniqueFd& stand_in,
                          base::Deadline deadline) const;
  absl::Status DetachFound(const Cache::Found& found, const PodNetworkRequest& request,
                           base::Deadline deadline);
  absl::Status DetachUnknown(const PodNetworkRequest& request, base::Deadline deadline);
  bool IsReplaced(const NetworkConf& network) const;
  absl::Status DelOrGiveUp(const NetworkConf& network, const CacheEntry& entry,
                           const std::string& group, base::Deadline deadline);
  absl::Status CollectWhileNoneIsAttached(const NetworkConf& network,
                                          const std::vector<std::string>& sandbox_ids,
                                          base::Deadline deadline) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(attaching_);

  const Options options_;
  const Cache cache_;
  Refusals refusals_;
  StatusProbe probe_;
  native::Engine engine_;
  // Held for reading by what attaches, for writing while garbage is collected: an attachment that
  // is made meanwhile would not be among the valid ones.
  absl::Mutex attaching_;
};

absl::StatusOr<Result> ConfiguredNetwork::Add(const NetworkConf& network, const CacheEntry& entry,
                                              const std::string& group, base::Deadline deadline,
                                              std::vector<PluginTiming>& timings) {
  PluginCall call;
  call.verb = Verb::kAdd;
  call.container_id = entry.container_id;
  call.netns = entry.netns;
  call.args = FormatArgs(entry.args);
  call.group = group;
  Result result;
  for (const PluginConf& plugin : network.plugins) {
    const int64_t start = base::MonotonicNanos();
    call.type = plugin.type;
    CRISP_ASSIGN_OR_RETURN(call.conf,
                           ExecConf(network, plugin, entry.capability_args, result.json));
    std::optional<absl::StatusOr<std::string>> output = engine_.Run(call, deadline);
    if (!output.has_value()) output = RunPlugin(options_.plugin_dirs, call, deadline);
    CRISP_RETURN_IF_ERROR(output->status());
    absl::StatusOr<Result> parsed = ParseResult(**output, network.cni_version);
    if (!parsed.ok()) {
      return base::Prefix(parsed.status(), absl::StrCat("cni add: plugin ", plugin.type));
    }
    result = *std::move(parsed);
    timings.push_back({plugin.type, base::MonotonicNanos() - start});
  }
  if (result.ips.empty()) {
    return absl::InternalError(
        absl::StrCat("cni add: network ", network.name, ": no address for ", kPodInterface));
  }
  return result;
}

absl::Status ConfiguredNetwork::ExecuteDel(const NetworkConf& network, const PluginConf& plugin,
                                           const CacheEntry& entry, PluginCall call,
                                           base::UniqueFd& stand_in,
                                           base::Deadline deadline) const {
  if (!call.netns.empty() || !plugin.masquerades) {
    return RunPlugin(options_.plugin_dirs, call, deadline).status();
  }
  if (!stand_in.valid()) {
    CRISP_ASSIGN_OR_RETURN(stand_in, StandInOf(network, entry));
  }
  if (stand_in.valid()) {
    call.netns = absl::StrCat("/proc/", getpid(), "/fd/", stand_in.get());
    const absl::Status deleted = RunPlugin(options_.plugin_dirs, call, deadline).status();
    if (deleted.ok() || MayPass(deleted)) return deleted;
    // After a reboot the rules are gone, too, which bridge up to 1.1 takes for an error.
    LogRulesMayStay(entry, deleted);
    call.netns.clear();
  }
  return RunPlugin(options_.plugin_dirs, call, deadline).status();
}

// Stops at the first plugin that fails: the plugins before it in the list must keep their resources
// until it succeeds. An address must not be free for another pod while a port mapping leads to it.
absl::Status ConfiguredNetwork::Del(const NetworkConf& network, const CacheEntry& entry,
                                    const std::string& group, base::Deadline deadline) {
  const bool wants_result = VersionRank(network.cni_version) >= VersionRank(kDelResultVersion);
  PluginCall call;
  call.verb = Verb::kDel;
  call.container_id = entry.container_id;
  // With an empty path plugins free what is outside the namespace; with a path that is not a
  // namespace they fail.
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, FindNetns(entry.netns));
  if (netns.valid()) call.netns = entry.netns;
  base::UniqueFd stand_in;
  call.args = FormatArgs(entry.args);
  call.group = group;
  for (auto plugin = network.plugins.rbegin(); plugin != network.plugins.rend(); ++plugin) {
    call.type = plugin->type;
    CRISP_ASSIGN_OR_RETURN(call.conf, ExecConf(network, *plugin, entry.capability_args,
                                               wants_result ? entry.result : ""));
    const std::optional<absl::StatusOr<std::string>> done = engine_.Run(call, deadline);
    CRISP_RETURN_IF_ERROR(done.has_value()
                              ? done->status()
                              : ExecuteDel(network, *plugin, entry, call, stand_in, deadline));
  }
  return absl::OkStatus();
}

// Whether a plugin is gone that the network of today does not need. Otherwise it may come back, as
// while it is upgraded.
bool ConfiguredNetwork::IsReplaced(const NetworkConf& network) const {
  const absl::StatusOr<NetworkConf> now = LoadConfDirectory(options_.conf_dir).network;
  if (!now.ok()) return false;
  return std::any_of(network.plugins.begin(), network.plugins.end(), [&](const PluginConf& plugin) {
    return !FindPlugin(options_.plugin_dirs, plugin.type).ok() &&
           std::none_of(now->plugins.begin(), now->plugins.end(),
                        [&](const PluginConf& other) { return other.type == plugin.type; });
  });
}

// What is given up stays as it is, with what the plugins before it in the list hold: the address of
// a pod is not free for another one while a port mapping may lead to it. GC can free both.
absl::Status ConfiguredNetwork::DelOrGiveUp(const NetworkConf& network, const CacheEntry& entry,
                                            const std::string& group, base::Deadline deadline) {
  const absl::Status deleted = Del(network, entry, group, deadline);
  const absl::Status left = deleted.ok() ? CheckLeases(network, entry) : deleted;
  const bool for_good = deleted.ok() || absl::IsInvalidArgument(deleted) ||
                        (absl::IsFailedPrecondition(deleted) && IsReplaced(network));
  const std::string attachment = absl::StrCat(entry.network, " ", entry.container_id);
  if (left.ok() || !for_good) {
    refusals_.Forget(attachment);
    return left;
  }
  if (!refusals_.Add(attachment)) {
    // Of the caller's arguments none is wrong.
    return absl::IsInvalidArgument(left) ? absl::InternalError(left.message()) : left;
  }
  refusals_.Forget(attachment);
  base::Log(base::LogLevel::kWarning, "what CNI plugins hold for a pod stays, DEL is given up",
            {{"sandbox", entry.container_id}, {"error", std::string(left.message())}});
  return absl::OkStatus();
}

absl::StatusOr<PodNetwork> ConfiguredNetwork::Attach(const PodNetworkRequest& request,
                                                     base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const NetworkConf network, LoadConfDirectory(options_.conf_dir).network);
  CRISP_ASSIGN_OR_RETURN(CacheEntry entry, NewEntry(request, network));
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, OpenNetns(request.netns_path));
  CRISP_RETURN_IF_ERROR(SetLoopbackUp(netns.get()));
  // Before any plugin runs: without an installed plugin its DEL would fail forever.
  for (const PluginConf& plugin : network.plugins) {
    CRISP_RETURN_IF_ERROR(base::Prefix(FindPlugin(options_.plugin_dirs, plugin.type).status(),
                                       absl::StrCat("cni add: plugin ", plugin.type)));
  }
  absl::ReaderMutexLock lock(&attaching_);
  CRISP_RETURN_IF_ERROR(cache_.Write(entry));
  base::Failpoint("cni add: input cached");
  PodNetwork attached;
  CRISP_ASSIGN_OR_RETURN(Result result,
                         Add(network, entry, request.plugin_group, deadline, attached.timings));
  entry.result = std::move(result.json);
  CRISP_RETURN_IF_ERROR(cache_.Write(entry));
  base::Failpoint("cni add: result cached");
  attached.ips = Ordered(std::move(result.ips), options_.ip_preference);
  return attached;
}

absl::Status ConfiguredNetwork::Detach(const PodNetworkRequest& request, base::Deadline deadline) {
  // Also when no DEL follows: an ADD of a crispd that was killed may still be at work. It gets the
  // time to finish, because a DEL can undo a whole ADD better than half of one.
  if (!request.plugin_group.empty()) {
    CRISP_RETURN_IF_ERROR(cgroup::EndProgramGroup(request.plugin_group, deadline, kFinishTime));
  }
  CRISP_ASSIGN_OR_RETURN(const std::vector<Cache::Found> found, cache_.Find(request.sandbox_id));
  if (found.empty()) return DetachUnknown(request, deadline);
  for (const Cache::Found& attachment : found) {
    CRISP_RETURN_IF_ERROR(DetachFound(attachment, request, deadline));
  }
  return absl::OkStatus();
}

absl::Status ConfiguredNetwork::DetachFound(const Cache::Found& found,
                                            const PodNetworkRequest& request,
                                            base::Deadline deadline) {
  absl::StatusOr<NetworkConf> network =
      found.entry.ok() ? ParseConf(found.entry->config) : found.entry.status();
  absl::StatusOr<CacheEntry> entry = found.entry;
  if (!network.ok()) {
    // The entry is damaged, but plugins may have run: use the network that is configured now.
    network = LoadConfDirectory(options_.conf_dir).network;
    CRISP_RETURN_IF_ERROR(network.status());
    entry = NewEntry(request, *network);
    CRISP_RETURN_IF_ERROR(entry.status());
  }
  entry->netns = request.netns_path;
  CRISP_RETURN_IF_ERROR(DelOrGiveUp(*network, *entry, request.plugin_group, deadline));
  base::Failpoint("cni del: done, still cached");
  return cache_.Remove(found.path);
}

// Without an entry either no plugin ran, or Detach is done, or the cache was lost. Only the last
// case needs DEL, but DEL is idempotent.
absl::Status ConfiguredNetwork::DetachUnknown(const PodNetworkRequest& request,
                                              base::Deadline deadline) {
  const ConfDirectory directory = LoadConfDirectory(options_.conf_dir);
  if (absl::IsResourceExhausted(directory.network.status())) return directory.network.status();
  if (!directory.network.ok()) return absl::OkStatus();
  const absl::StatusOr<CacheEntry> entry = NewEntry(request, *directory.network);
  if (!entry.ok()) return absl::OkStatus();  // Attach refuses such a request before any plugin runs
  for (const PluginConf& plugin : directory.network->plugins) {
    if (!FindPlugin(options_.plugin_dirs, plugin.type).ok()) return absl::OkStatus();  // likewise
  }
  return DelOrGiveUp(*directory.network, *entry, request.plugin_group, deadline);
}

absl::Status ConfiguredNetwork::CollectGarbage(const std::vector<std::string>& sandbox_ids,
                                               base::Deadline deadline) {
  const ConfDirectory directory = LoadConfDirectory(options_.conf_dir);
  if (absl::IsResourceExhausted(directory.network.status())) return directory.network.status();
  if (!directory.network.ok()) return absl::OkStatus();
  const NetworkConf& network = *directory.network;
  if (network.disable_gc || VersionRank(network.cni_version) < VersionRank(kGcVersion))
    return absl::OkStatus();
  // Never waits for it: a lock that waits for one ADD that hangs would hold up all that come after.
  if (!attaching_.TryLock()) return absl::UnavailableError("cni gc: a pod is being attached");
  const absl::Status collected = CollectWhileNoneIsAttached(network, sandbox_ids, deadline);
  attaching_.Unlock();
  return collected;
}

absl::Status ConfiguredNetwork::CollectWhileNoneIsAttached(
    const NetworkConf& network, const std::vector<std::string>& sandbox_ids,
    base::Deadline deadline) const {
  CRISP_ASSIGN_OR_RETURN(std::vector<Attachment> valid, cache_.List());
  valid.erase(std::remove_if(valid.begin(), valid.end(),
                             [&](const Attachment& a) { return a.network != network.name; }),
              valid.end());
  std::set<std::string> cached;
  for (const Attachment& attachment : valid) cached.insert(attachment.container_id);
  for (const std::string& id : sandbox_ids) {
    if (cached.count(id) == 0) valid.push_back({network.name, id, kPodInterface});
  }
  absl::Status first;
  for (const PluginConf& plugin : network.plugins) {
    PluginCall call;
    call.verb = Verb::kGc;
    call.type = plugin.type;
    call.group = Group("gc");
    CRISP_ASSIGN_OR_RETURN(call.conf, GcConf(network, plugin, valid));
    first.Update(RunPlugin(options_.plugin_dirs, call, deadline).status());
  }
  return first;
}

NetworkState ConfiguredNetwork::State() {
  NetworkState state;
  ConfDirectory directory = LoadConfDirectory(options_.conf_dir);
  state.skipped = std::move(directory.skipped);
  if (!directory.network.ok()) {
    probe_.Forget();
    state.ready = base::Prefix(directory.network.status(), "cni plugin not initialized");
    return state;
  }
  state.ready = probe_.Verdict(*directory.network);
  state.name = directory.network->name;
  state.path = directory.network->path;
  state.json = directory.network->json;
  return state;
}

}  // namespace

std::unique_ptr<Network> NewNetwork(Options options) {
  return std::make_unique<ConfiguredNetwork>(std::move(options));
}

}  // namespace crisp::cni
