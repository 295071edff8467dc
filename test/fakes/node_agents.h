// How tools that watch nodes find the id of a container: what they read and which patterns they
// apply, as facts taken from their public sources (repository@commit, file). Pure, thread-safe.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace crisp::test {

// What a running container shows. kubelet has given its pod, which is of the class Burstable, the
// group .../kubepods/burstable/pod<uid> or the slice kubepods-burstable-pod<uid>.slice.
struct Shown {
  std::string id;              // the container's, as in the pod's status
  int pid = 0;                 // of its first process
  std::string uid;             // the pod's
  std::string above_kubepods;  // the group that the group kubepods is in; empty for the root
  // /proc/<pid>/cgroup, read on the host and in the container.
  std::string host_cgroup;
  std::string own_cgroup;
  std::string own_mountinfo;        // read in the container
  std::string info;                 // of the verbose ContainerStatus
  std::vector<std::string> groups;  // paths of all groups of the pod, of pause's too
  std::string
      log;  // the name of kubelet's link to the log, "<pod>_<namespace>_<container>-<id>.log"
};

struct NodeAgent {
  const char* tool;
  const char* part;  // of the tool
  // Where it looks for a CRI or containerd socket unless told otherwise; empty for a part that
  // needs none, or has to be told.
  std::vector<std::string> sockets;
  // The id that it finds, all or its first 12 digits; empty when it finds none. Null for a tool
  // that looks for no container.
  std::string (*find)(const Shown& shown);
};

const std::vector<NodeAgent>& NodeAgents();

// "<tool>, <part>: <what it finds>" of all that do not find the container's id.
std::set<std::string> WrongIds(const Shown& shown);

// The path of the cgroup2 group in the text of /proc/<pid>/cgroup.
std::string UnifiedGroup(const std::string& cgroup);

}  // namespace crisp::test
