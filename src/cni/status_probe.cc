#include "cni/status_probe.h"

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/status_macros.h"
#include "cni/arguments.h"
#include "cni/plugin.h"

namespace crisp::cni {
namespace {

constexpr int64_t kMaxAgeNanos = 10'000'000'000;
constexpr absl::Duration kFirstVerdict = absl::Seconds(1);
constexpr absl::Duration kPluginTime = absl::Seconds(2);

}  // namespace

StatusProbe::StatusProbe(std::vector<std::string> plugin_dirs)
    : plugin_dirs_(std::move(plugin_dirs)) {
  absl::MutexLock lock(&mutex_);
  EnsureThread().IgnoreError();
}

StatusProbe::~StatusProbe() {
  base::Thread thread;
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    thread = std::move(thread_);
  }
  thread.Join();
}

absl::Status StatusProbe::EnsureThread() {
  if (thread_.joinable()) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("cni status", [this] { Loop(); }));
  return absl::OkStatus();
}

absl::Status StatusProbe::Verdict(const NetworkConf& network) {
  if (VersionRank(network.cni_version) < VersionRank(kStatusVersion)) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  CRISP_RETURN_IF_ERROR(EnsureThread());
  const int64_t now = base::MonotonicNanos();
  if (asked_ != network.json || now - asked_at_ > kMaxAgeNanos) {
    asked_ = network.json;
    asked_at_ = now;
    wanted_ = network;
  }
  const auto judged = [&]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return judged_ == network.json; };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&judged), kFirstVerdict)) {
    return absl::UnavailableError(
        absl::StrCat("cni status of network ", network.name, " is not known yet"));
  }
  return verdict_;
}

void StatusProbe::Loop() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop_ || wanted_.has_value();
  };
  while (true) {
    NetworkConf network;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (stop_) return;
      network = *std::move(wanted_);
      wanted_.reset();
    }
    absl::Status verdict = Ask(network);
    absl::MutexLock lock(&mutex_);
    judged_ = network.json;
    verdict_ = std::move(verdict);
  }
}

absl::Status StatusProbe::Ask(const NetworkConf& network) const {
  const base::Deadline deadline = base::Deadline::In(kPluginTime);
  for (const PluginConf& plugin : network.plugins) {
    PluginCall call;
    call.verb = Verb::kStatus;
    call.type = plugin.type;
    CRISP_ASSIGN_OR_RETURN(call.conf, ExecConf(network, plugin, "", ""));
    CRISP_RETURN_IF_ERROR(RunPlugin(plugin_dirs_, call, deadline).status());
  }
  return absl::OkStatus();
}

}  // namespace crisp::cni
