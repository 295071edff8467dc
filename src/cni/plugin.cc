#include "cni/plugin.h"

#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cgroup/join.h"
#include "cni/network.h"
#include "cni/result.h"
#include "linux/default_path.h"
#include "linux/spawn.h"

namespace crisp::cni {
namespace {

constexpr size_t kMaxOutputBytes = 1 << 20;
// How long killed processes of a plugin may take to die.
constexpr absl::Duration kKillTime = absl::Seconds(5);

struct VerbName {
  const char* command;  // CNI_COMMAND
  const char* word;     // in messages
};

VerbName NameOf(Verb verb) {
  switch (verb) {
    case Verb::kAdd:
      return {"ADD", "add"};
    case Verb::kDel:
      return {"DEL", "del"};
    case Verb::kStatus:
      return {"STATUS", "status"};
    case Verb::kGc:
      return {"GC", "gc"};
  }
  return {"", ""};
}

// Not what systemd tells crispd alone (sd_notify(3), systemd.exec(5)), nor what belongs to a call.
bool IsForPlugins(absl::string_view entry) {
  for (absl::string_view name : {"CNI_", "NOTIFY_SOCKET=", "WATCHDOG_", "JOURNAL_STREAM="})
    if (absl::StartsWith(entry, name)) return false;
  return true;
}

// crispd's own environment, as libcni gives it to plugins: PATH, proxies and what else an operator
// has set in the unit. PATH is never missing.
std::vector<std::string> Inherited() {
  std::vector<std::string> env;
  bool has_path = false;
  for (const char* const* entry = environ; *entry != nullptr; ++entry) {
    if (!IsForPlugins(*entry)) continue;
    has_path = has_path || absl::StartsWith(*entry, "PATH=");
    env.emplace_back(*entry);
  }
  if (!has_path) env.push_back(absl::StrCat("PATH=", linux::kDefaultPath));
  return env;
}

std::vector<std::string> Environment(const std::vector<std::string>& dirs, const PluginCall& call) {
  std::vector<std::string> env = Inherited();
  env.push_back(absl::StrCat("CNI_COMMAND=", NameOf(call.verb).command));
  env.push_back(absl::StrCat("CNI_PATH=", absl::StrJoin(dirs, ":")));
  if (call.verb != Verb::kStatus && call.verb != Verb::kGc) {
    env.push_back(absl::StrCat("CNI_CONTAINERID=", call.container_id));
    env.push_back(absl::StrCat("CNI_NETNS=", call.netns));
    env.push_back(absl::StrCat("CNI_IFNAME=", kPodInterface));
    env.push_back(absl::StrCat("CNI_ARGS=", call.args));
  }
  return env;
}

absl::StatusCode CodeOf(Verb verb, const PluginError& error) {
  switch (error.code) {
    case kTryAgainLater:
    case kNotAvailable:
    case kLimitedConnectivity:
      return absl::StatusCode::kUnavailable;
    case kIncompatibleVersion:
    case kUnsupportedField:
    case kInvalidEnvironment:
    case kUndecodable:
    case kInvalidConfig:
      // Of ADD and the others it is not the client's argument that is wrong.
      if (verb == Verb::kDel) return absl::StatusCode::kInvalidArgument;
      [[fallthrough]];
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::StatusOr<std::string> Judge(Verb verb, linux::RunResult run) {
  if (const std::optional<PluginError> error = ParsePluginError(run.out); error.has_value()) {
    if (verb == Verb::kDel && error->code == kUnknownContainer) return std::string();
    return absl::Status(CodeOf(verb, *error),
                        absl::StrCat(error->message, " (code ", error->code, ")"));
  }
  if (run.signal == 0 && run.exit_code == 0) return std::move(run.out);
  const std::string output = Printable(run.err + run.out);
  if (run.signal != 0) {
    // Somebody has killed it, or the kernel for lack of memory: it has not had its say.
    return absl::UnavailableError(absl::StrCat("killed by signal ", run.signal, ": ", output));
  }
  return absl::InternalError(absl::StrCat("exit code ", run.exit_code, ": ", output));
}

}  // namespace

absl::StatusOr<std::string> FindPlugin(const std::vector<std::string>& dirs,
                                       const std::string& type) {
  for (const std::string& dir : dirs) {
    std::string path = base::JoinPath(dir, type);
    struct stat info;
    if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return path;
  }
  return absl::FailedPreconditionError(absl::StrCat("not found in ", absl::StrJoin(dirs, ":")));
}

absl::StatusOr<std::string> RunPlugin(const std::vector<std::string>& plugin_dirs,
                                      const PluginCall& call, base::Deadline deadline) {
  const auto run = [&]() -> absl::StatusOr<std::string> {
    CRISP_ASSIGN_OR_RETURN(const std::string path, FindPlugin(plugin_dirs, call.type));
    linux::RunLimits limits;
    limits.deadline = deadline;
    limits.max_stdout = kMaxOutputBytes;
    linux::Command command = {.path = path, .args = {path}, .env = Environment(plugin_dirs, call)};
    base::UniqueFd group;
    if (!call.group.empty()) {
      CRISP_ASSIGN_OR_RETURN(group, cgroup::MakeProgramGroup(call.group, deadline));
      base::Failpoint("cni plugin: group made");
      command.cgroup = group.get();
    }
    absl::StatusOr<linux::RunResult> result = linux::Run(command, call.conf, limits);
    base::Failpoint("cni plugin: ended");
    if (!call.group.empty()) {
      CRISP_RETURN_IF_ERROR(cgroup::EndProgramGroup(call.group, base::Deadline::In(kKillTime)));
    }
    CRISP_RETURN_IF_ERROR(result.status());
    return Judge(call.verb, *std::move(result));
  };
  absl::StatusOr<std::string> output = run();
  if (output.ok()) return output;
  return base::Prefix(output.status(),
                      absl::StrCat("cni ", NameOf(call.verb).word, ": plugin ", call.type));
}

}  // namespace crisp::cni
