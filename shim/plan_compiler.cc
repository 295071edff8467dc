#include "shim/plan_compiler.h"

#include <limits.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clean_path.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "linux/capabilities.h"
#include "linux/default_path.h"
#include "linux/overlay_options.h"

namespace crisp::shim {
namespace {

struct NamespaceName {
  absl::string_view name;
  int type;
};
constexpr NamespaceName kNamespaces[] = {{"pid", CLONE_NEWPID},   {"network", CLONE_NEWNET},
                                         {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},
                                         {"user", CLONE_NEWUSER}, {"cgroup", CLONE_NEWCGROUP},
                                         {"mount", CLONE_NEWNS}};

absl::Status CompileNamespaces(const oci::Spec& spec, LaunchPlan& plan) {
  bool has_mount = false;
  for (const oci::Namespace& entry : spec.linux_.namespaces) {
    const auto* found =
        std::find_if(std::begin(kNamespaces), std::end(kNamespaces),
                     [&](const NamespaceName& known) { return known.name == entry.type; });
    if (found == std::end(kNamespaces)) {
      return Invalid("linux.namespaces",
                     absl::StrCat("type \"", entry.type, "\" is not supported"));
    }
    if (found->type == CLONE_NEWNS) {
      if (!entry.path.empty())
        return Invalid("linux.namespaces", "joining a mount namespace is not supported");
      has_mount = true;
      continue;
    }
    if (plan.Find(found->type) != nullptr) {
      return Invalid("linux.namespaces", absl::StrCat("type \"", entry.type, "\" is named twice"));
    }
    NamespacePlan& added = plan.namespaces.emplace_back();
    added.type = found->type;
    if (!entry.path.empty()) {
      CRISP_ASSIGN_OR_RETURN(added.path, CleanPath(entry.path, "linux.namespaces.path"));
    }
  }
  if (!has_mount)
    return Invalid("linux.namespaces", "a container has a mount namespace of its own");
  plan.uid_mappings = spec.linux_.uid_mappings;
  plan.gid_mappings = spec.linux_.gid_mappings;
  if (plan.Find(CLONE_NEWUSER) != nullptr &&
      (plan.uid_mappings.empty() || plan.gid_mappings.empty())) {
    return Invalid("linux.uidMappings", "a user namespace needs mappings of users and groups");
  }
  return absl::OkStatus();
}

struct RlimitName {
  absl::string_view name;
  int resource;
};
constexpr RlimitName kRlimits[] = {{"RLIMIT_AS", RLIMIT_AS},
                                   {"RLIMIT_CORE", RLIMIT_CORE},
                                   {"RLIMIT_CPU", RLIMIT_CPU},
                                   {"RLIMIT_DATA", RLIMIT_DATA},
                                   {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                   {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                   {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                   {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                   {"RLIMIT_NICE", RLIMIT_NICE},
                                   {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                   {"RLIMIT_NPROC", RLIMIT_NPROC},
                                   {"RLIMIT_RSS", RLIMIT_RSS},
                                   {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                   {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                   {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                   {"RLIMIT_STACK", RLIMIT_STACK}};

absl::Status CompileRlimits(const oci::Process& process, ProcessPlan& plan) {
  for (const oci::Rlimit& limit : process.rlimits) {
    const auto* found =
        std::find_if(std::begin(kRlimits), std::end(kRlimits),
                     [&](const RlimitName& known) { return known.name == limit.type; });
    if (found == std::end(kRlimits)) {
      return Invalid("process.rlimits", absl::StrCat("type \"", limit.type, "\" does not exist"));
    }
    if (limit.soft > limit.hard)
      return Invalid("process.rlimits", absl::StrCat(limit.type, ": soft is above hard"));
    plan.rlimits.push_back({found->resource, limit.type, {limit.soft, limit.hard}});
  }
  return absl::OkStatus();
}

absl::Status CompileCapabilities(const oci::Process& process, ProcessPlan& plan) {
  if (!process.capabilities.has_value()) return absl::OkStatus();
  CapabilityPlan& caps = plan.capabilities.emplace();
  const auto parse = [](const std::vector<std::string>& names, const char* set, uint64_t& mask) {
    absl::StatusOr<linux::CapabilityMask> parsed = linux::ParseCapabilities(names);
    if (!parsed.ok())
      return base::Prefix(parsed.status(), absl::StrCat("process.capabilities.", set));
    mask = *parsed;
    return absl::OkStatus();
  };
  // "inheritable" is not carried over: a non-empty set would let an unprivileged program gain file
  // capabilities.
  CRISP_RETURN_IF_ERROR(parse(process.capabilities->bounding, "bounding", caps.bounding));
  CRISP_RETURN_IF_ERROR(parse(process.capabilities->effective, "effective", caps.effective));
  CRISP_RETURN_IF_ERROR(parse(process.capabilities->permitted, "permitted", caps.permitted));
  CRISP_RETURN_IF_ERROR(parse(process.capabilities->ambient, "ambient", caps.ambient));
  if ((caps.effective & ~caps.permitted) != 0 || (caps.ambient & ~caps.permitted) != 0) {
    return Invalid("process.capabilities", "effective and ambient must be among the permitted");
  }
  return absl::OkStatus();
}

absl::Status RequireNoNul(absl::string_view member, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (absl::StrContains(word, '\0')) return Invalid(member, "holds a NUL");
  }
  return absl::OkStatus();
}

// Where execvp(3) would look; an empty part of PATH means the working directory.
void CompilePrograms(ProcessPlan& plan) {
  const std::string& name = plan.args[0];
  if (name.empty() || absl::StrContains(name, '/')) {
    plan.programs = {name};
    return;
  }
  std::string path = linux::kDefaultPath;
  for (const std::string& entry : plan.env) {
    if (absl::StartsWith(entry, "PATH=")) path = entry.substr(5);
  }
  for (const absl::string_view directory : absl::StrSplit(path, ':')) {
    plan.programs.push_back(absl::StrCat(directory.empty() ? "." : directory, "/", name));
  }
}

absl::Status CompileRootfs(const oci::Spec& spec, const ::shim::v1::Start& start,
                           LaunchPlan& plan) {
  plan.rootfs_readonly = spec.root.readonly;
  const std::string& propagation = spec.linux_.rootfs_propagation;
  if (propagation == "shared" || propagation == "rshared") {
    plan.rootfs_propagation = MS_SHARED;
  } else if (!propagation.empty() && propagation != "private" && propagation != "rprivate" &&
             propagation != "slave" && propagation != "rslave") {
    // Private and slave are the same to a root that no host mount ever reaches.
    return Invalid("linux.rootfsPropagation",
                   absl::StrCat("\"", propagation, "\" is not supported"));
  }
  if (!start.has_rootfs()) {
    const bool below_bundle = !absl::StartsWith(spec.root.path, "/");
    CRISP_ASSIGN_OR_RETURN(
        plan.rootfs.directory,
        CleanPath(absl::StrCat(below_bundle ? "/" : "", spec.root.path), "root.path"));
    plan.rootfs.below_bundle = below_bundle;
    return absl::OkStatus();
  }
  plan.rootfs.base = start.rootfs().base();
  plan.rootfs.lowers.assign(start.rootfs().lowers().begin(), start.rootfs().lowers().end());
  plan.rootfs.upper = start.rootfs().upper();
  plan.rootfs.work = start.rootfs().work();
  return OverlayOptions(plan.rootfs).status();
}

}  // namespace

absl::Status Invalid(absl::string_view member, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(member, ": ", why));
}

absl::StatusOr<std::string> CleanPath(const std::string& path, absl::string_view what) {
  const std::string shown = absl::StrCat("\"", path.substr(0, 200), "\" ");
  if (path.empty() || path[0] != '/') return Invalid(what, absl::StrCat(shown, "is not absolute"));
  absl::StatusOr<std::string> clean = base::CleanPath(path);
  if (!clean.ok()) return Invalid(what, absl::StrCat(shown, clean.status().message()));
  return clean;
}

absl::StatusOr<std::string> OverlayOptions(const RootfsPlan& rootfs) {
  if (rootfs.base.empty() || rootfs.base[0] != '/')
    return Invalid("rootfs.base", "is not absolute");
  absl::StatusOr<std::string> options =
      linux::OverlayOptions(rootfs.lowers, rootfs.upper, rootfs.work);
  if (!options.ok()) return base::Prefix(options.status(), "rootfs");
  return options;
}

absl::StatusOr<ProcessPlan> CompileProcess(const oci::Process& process) {
  ProcessPlan plan;
  plan.args = process.args;
  plan.env = process.env;
  if (plan.args.empty()) return Invalid("process.args", "is empty");
  CRISP_RETURN_IF_ERROR(RequireNoNul("process.args", plan.args));
  CRISP_RETURN_IF_ERROR(RequireNoNul("process.env", plan.env));
  CompilePrograms(plan);
  if (process.cwd.empty() || process.cwd[0] != '/') {
    return Invalid("process.cwd", absl::StrCat("\"", process.cwd, "\" is not absolute"));
  }
  if (process.cwd.size() >= PATH_MAX || absl::StrContains(process.cwd, '\0')) {
    return Invalid("process.cwd", "is no path");
  }
  plan.cwd = process.cwd;
  plan.terminal = process.terminal;
  plan.uid = process.user.uid;
  plan.gid = process.user.gid;
  plan.groups.assign(process.user.additional_gids.begin(), process.user.additional_gids.end());
  plan.umask = process.user.umask.value_or(0022) & 0777;
  CRISP_RETURN_IF_ERROR(CompileCapabilities(process, plan));
  plan.no_new_privileges = process.no_new_privileges;
  if (process.apparmor_profile.find_first_of("\n\r") != std::string::npos ||
      absl::StrContains(process.apparmor_profile, '\0')) {
    return Invalid("process.apparmorProfile", "holds a control character");
  }
  plan.apparmor_profile = process.apparmor_profile;
  if (!process.selinux_label.empty())
    return Invalid("process.selinuxLabel", "SELinux is not supported");
  CRISP_RETURN_IF_ERROR(CompileRlimits(process, plan));
  plan.oom_score_adj = process.oom_score_adj;
  if (plan.oom_score_adj.has_value() &&
      (*plan.oom_score_adj < -1000 || *plan.oom_score_adj > 1000)) {
    return Invalid("process.oomScoreAdj", "is not within -1000 and 1000");
  }
  return plan;
}

absl::StatusOr<LaunchPlan> CompileLaunch(const oci::Spec& spec, const ::shim::v1::Start& start) {
  LaunchPlan plan;
  CRISP_ASSIGN_OR_RETURN(plan.process, CompileProcess(spec.process));
  CRISP_RETURN_IF_ERROR(CompileNamespaces(spec, plan));
  CRISP_RETURN_IF_ERROR(CompileRootfs(spec, start, plan));
  CRISP_RETURN_IF_ERROR(CompileMounts(spec, start, plan));
  CRISP_RETURN_IF_ERROR(CompileDevices(spec, plan));
  CRISP_RETURN_IF_ERROR(CompileSysctls(spec, plan));
  if (!spec.hostname.empty() && plan.Find(CLONE_NEWUTS) == nullptr) {
    return Invalid("hostname", "the container has the host's UTS namespace");
  }
  plan.hostname = spec.hostname;
  for (const std::string& path : spec.linux_.masked_paths) {
    CRISP_ASSIGN_OR_RETURN(plan.masked_paths.emplace_back(), CleanPath(path, "linux.maskedPaths"));
  }
  for (const std::string& path : spec.linux_.readonly_paths) {
    CRISP_ASSIGN_OR_RETURN(plan.readonly_paths.emplace_back(),
                           CleanPath(path, "linux.readonlyPaths"));
  }
  return plan;
}

absl::StatusOr<LaunchPlan> CompileExec(const oci::Spec& spec, const ::shim::v1::Exec& exec) {
  LaunchPlan plan;
  CRISP_RETURN_IF_ERROR(CompileNamespaces(spec, plan));
  oci::Process process = spec.process;
  process.args.assign(exec.args().begin(), exec.args().end());
  process.terminal = exec.tty();
  const auto is_term = [](const std::string& entry) { return absl::StartsWith(entry, "TERM="); };
  if (exec.tty() && std::none_of(process.env.begin(), process.env.end(), is_term)) {
    process.env.push_back("TERM=xterm");
  }
  CRISP_ASSIGN_OR_RETURN(plan.process, CompileProcess(process));
  return plan;
}

}  // namespace crisp::shim
