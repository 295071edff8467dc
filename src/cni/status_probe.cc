#include "cni/status_probe.h"

#include "absl/strings/str_cat.h"
#include "base/deadline.h"
#include "base/status_macros.h"
#include "cni/arguments.h"
#include "cni/plugin.h"

namespace crisp::cni {
namespace {

constexpr absl::Duration kPause = absl::Seconds(10);
constexpr absl::Duration kPluginTime = absl::Seconds(2);

}  // namespace

StatusProbe::StatusProbe(std::vector<std::string> plugin_dirs, std::string group)
    : plugin_dirs_(std::move(plugin_dirs)), group_(std::move(group)) {
  absl::MutexLock lock(&mutex_);
  EnsureThread().IgnoreError();
}

StatusProbe::~StatusProbe() {
  base::Thread thread;
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    changed_.NotifyAll();
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
  if (VersionRank(network.cni_version) < VersionRank(kStatusVersion)) {
    Forget();
    return absl::OkStatus();
  }
  absl::MutexLock lock(&mutex_);
  CRISP_RETURN_IF_ERROR(EnsureThread());
  if (!network_.has_value() || network_->json != network.json) {
    network_ = network;
    changed_.NotifyAll();
  }
  if (judged_ == network.json) return verdict_;
  return absl::UnavailableError(
      absl::StrCat("cni status of network ", network.name, " is not known yet"));
}

void StatusProbe::Forget() {
  absl::MutexLock lock(&mutex_);
  network_.reset();
  judged_.clear();
}

void StatusProbe::Loop() {
  absl::MutexLock lock(&mutex_);
  base::Deadline again = base::Deadline::At(0);
  while (!stop_) {
    if (!network_.has_value()) {
      changed_.Wait(mutex_, base::Deadline::Never());
    } else if (judged_ == network_->json && !again.Passed()) {
      changed_.Wait(mutex_, again);
    } else {
      const NetworkConf network = *network_;
      mutex_.Unlock();
      absl::Status verdict = Ask(network);
      mutex_.Lock();
      judged_ = network.json;
      verdict_ = std::move(verdict);
      again = base::Deadline::In(kPause);
    }
  }
}

absl::Status StatusProbe::Ask(const NetworkConf& network) const {
  const base::Deadline deadline = base::Deadline::In(kPluginTime);
  for (const PluginConf& plugin : network.plugins) {
    PluginCall call;
    call.verb = Verb::kStatus;
    call.type = plugin.type;
    call.group = group_;
    CRISP_ASSIGN_OR_RETURN(call.conf, ExecConf(network, plugin, "", ""));
    CRISP_RETURN_IF_ERROR(RunPlugin(plugin_dirs_, call, deadline).status());
  }
  return absl::OkStatus();
}

}  // namespace crisp::cni
