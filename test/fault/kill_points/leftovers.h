// What a crispd and its pods hold on the host, seen from outside: processes, mounts, network
// namespaces, bridge ports, address leases, cached CNI results, cgroups, and the directories below
// root and state. Restricted to one test daemon's, so that others may run on the host.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "cgroup/layout.h"
#include "integration/daemon.h"

namespace crisp::test {

struct ShimProcess {
  pid_t pid = 0;
  std::string id;       // of its container or sandbox
  bool forked = false;  // by a shim: a builder, or a child that has not executed its program yet
};

class Leftovers {
 public:
  // `cgroup_parent` holds the groups of all pods of the daemon.
  Leftovers(const Daemon& daemon, std::string cgroup_parent);

  // One line for each thing. Sandboxes are known by what their directories were called at this and
  // earlier calls: what has no directory any more may still have a network namespace.
  std::set<std::string> List();
  // The shims of the daemon and what they have forked.
  std::vector<ShimProcess> Shims() const;
  // All that a restart of the host ends or empties: processes, network namespaces, cgroups and the
  // state directory. crispd does not run.
  void Reboot();

 private:
  void NoteIds();
  void RemoveRules() const;
  void ListProcesses(std::set<std::string>& all) const;
  void ListNetwork(std::set<std::string>& all) const;
  void ListGroups(std::set<std::string>& all) const;
  std::vector<std::string> Groups() const;

  const Daemon& daemon_;
  const std::string cgroup_parent_;
  const cgroup::Layout& layout_;
  std::string network_;  // the name of the CNI network and of its bridge
  std::set<std::string> ids_;
};

}  // namespace crisp::test
