// What the builder's steps share. Steps run in the builder process, in the order of the tables in
// builder.cc, and are timed like those of the child. A step that fails says why in the report and
// returns false; the builder then ends. Borrowed descriptors end with the builder process.
#pragma once

#include <sched.h>

#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "shim/builder.h"
#include "shim/launch_plan.h"

namespace crisp::shim {

struct BuildContext {
  const BuilderInput& input;
  const ::shim::v1::Start* start = nullptr;
  const ::shim::v1::Exec* exec = nullptr;
  oci::Spec spec = {};
  std::vector<sock_filter> seccomp = {};
  uint64_t seccomp_flags = 0;  // SECCOMP_FILTER_FLAG_*
  LaunchPlan plan = {};
  std::vector<int> joins = {};  // namespaces to join before the clone, without the user namespace
  int user_namespace = -1;
  base::UniqueFd sandbox = {};  // O_PATH of /proc/<pause>, if the container is in a sandbox
  base::UniqueFd target = {};   // the same of the container whose PID namespace it joins
  uint64_t clone_flags = 0;
  cgroup::JoinFds cgroup = {};  // a container's; an exec's are in the input

  bool Fail(absl::string_view what, int error = errno) {
    return input.report->Fail(error, std::string(what).c_str());
  }
  bool Fail(const absl::Status& status) {
    return input.report->Fail(0, std::string(status.message()).c_str());
  }
  // What follows "/proc/<sandbox pid>/<below>/" in a path; null for other paths. The caller opens
  // it below `sandbox`: by its path it could reach another process that got the pid meanwhile.
  const char* InSandbox(const std::string& path, const char* below) const;
  bool has_user_namespace() const { return user_namespace >= 0; }
  // Whether the child is to be seen by processes that exist already; see child/inside.cc. Those of
  // the host's PID namespace are no matter: who is there sees crispd itself.
  bool joins_pid_namespace() const {
    const NamespacePlan* entry = plan.Find(CLONE_NEWPID);
    return entry != nullptr && (exec != nullptr || !entry->path.empty());
  }
};

// namespaces.cc
bool PrepareNamespaces(BuildContext& context);
bool PrepareMountNamespace(BuildContext& context);
bool JoinNamespaces(BuildContext& context);
bool JoinContainer(BuildContext& context);
// A user namespace with these mappings, which lives as long as the descriptor; -1 and errno on
// failure.
int MakeUserNamespace(const std::vector<oci::IdMapping>& uids,
                      const std::vector<oci::IdMapping>& gids);

// mount_sources.cc: what comes from the host, as detached trees; before the private mount namespace
bool PrepareMountSources(BuildContext& context);
// The container's own cgroups, once they are there.
bool PrepareCgroupBinds(BuildContext& context);
// overlay.cc: in the private mount namespace, where overlays can be mounted unseen
bool PrepareRootfs(BuildContext& context);
bool PrepareImageMounts(BuildContext& context);
// Makes files of a detached tree appear with the ids of a user namespace (mount_setattr(2),
// MOUNT_ATTR_IDMAP).
bool IdMapTree(int tree, int user_namespace, bool recursive);

// process.cc
// The host's id for an id of the container; the same number where no mapping covers it.
uint32_t HostId(const std::vector<oci::IdMapping>& mappings, uint32_t id);
bool PrepareProcess(BuildContext& context);
// The user that the container's program runs as gets the group that it may divide, and of its files
// those that the kernel lists for that. The limits stay root's (OCI runtime-spec, config-linux.md,
// "Cgroup ownership"). With a user namespace they get its group 0, too: the builder clones into the
// group when it is in that namespace, where root's rights are none over files of an id that it does
// not map (kernel/capability.c, capable_wrt_inode_uidgid). The number of groups that can be made
// below it is bounded.
bool GiveCgroup(BuildContext& context);

}  // namespace crisp::shim
