// A container, or a process to be added to one, compiled into what is to be done: flags instead of
// words, absolute clean paths, numbers instead of names. `plan_compiler.h` makes it from the spec
// without touching the system; the builder (builder.h) opens what can only be opened on the host
// and puts the descriptors in; the child's steps (child/steps.h) only read it. Strings and vectors
// are filled before clone3 and never changed after, so the child allocates nothing.
//
// Descriptors here are owned by the builder process as a whole: they are plain ints, all O_CLOEXEC,
// and end with it and with the child's execve.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "linux/mount_options.h"
#include "oci/runtime_spec.h"

namespace crisp::shim {

// What a container's file system is made of; see Rootfs in shim.proto. `directory` is used as it is
// when `lowers` is empty; it may be named below the bundle.
struct RootfsPlan {
  std::string directory;
  bool below_bundle = false;
  std::string base;
  std::vector<std::string> lowers;
  std::string upper;
  std::string work;
};

enum class MountKind : uint8_t {
  kBind,        // of `source` on the host
  kImage,       // of `image`, below `sub_path`
  kFilesystem,  // a new instance of `fs_type`
  kCgroup,      // cgroup2, or on a host with v1 a tmpfs with one bind per hierarchy
};

struct MountPlan {
  MountKind kind = MountKind::kBind;
  std::string destination;  // absolute, without "." and ".."
  std::string source;
  std::string fs_type;
  linux::MountOptions options;
  std::vector<oci::IdMapping> uid_mappings;  // for options.idmap; empty: those of the container
  std::vector<oci::IdMapping> gid_mappings;
  RootfsPlan image;
  std::string sub_path;

  // Builder's part: the detached tree of a bind or an image, ready to be attached.
  int tree = -1;
  bool tree_is_directory = false;
};

// One v1 hierarchy for the "cgroup" mount: the container's directory in it appears as `name`
// ("memory", "cpu,cpuacct").
struct CgroupBind {
  std::string name;
  std::string source;
  int tree = -1;
};

struct DevicePlan {
  std::string path;
  mode_t mode = 0;  // type and permissions
  dev_t device = 0;
  uid_t uid = 0;
  gid_t gid = 0;

  // Builder's part, in a user namespace: the host's node, as mknod is not allowed there.
  int tree = -1;
};

struct NamespacePlan {
  int type = 0;      // CLONE_NEW*
  std::string path;  // of the namespace to join; empty: a new one
};

struct SysctlPlan {
  std::string key;   // as the user wrote it
  std::string path;  // below /proc: "sys/net/ipv4/ip_forward"
  std::string value;
};

struct RlimitPlan {
  int resource = 0;
  std::string name;
  rlimit limit = {};
};

struct CapabilityPlan {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t ambient = 0;
};

// What init and exec processes have in common.
struct ProcessPlan {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::vector<std::string>
      programs;  // args[0] below every directory of PATH, or itself when it has a slash
  std::string cwd;
  bool terminal = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  mode_t umask = 0022;
  std::optional<CapabilityPlan> capabilities;  // absent: as the shim has them
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::vector<RlimitPlan> rlimits;
  std::optional<int> oom_score_adj;
  std::vector<sock_filter> seccomp;
  uint64_t seccomp_flags = 0;  // SECCOMP_FILTER_FLAG_*

  // Builder's part.
  std::vector<char*> argv;  // into args and env, with the final nullptr
  std::vector<char*> envp;
  int stdio[3] = {-1, -1, -1};
  bool in_user_namespace = false;  // the builder joins one: the child becomes its root first
  int done = -1;                   // the only descriptor besides 0 to 2 that execve may find
  int console_socket = -1;         // where the pty master goes, if terminal
  int private_proc = -1;           // a procfs of our own, detached; only when some step needs it
  std::vector<int> v1_tasks;       // `tasks` of the container's cgroup v1 groups
  int cgroup_namespace = -1;       // for an exec: the container's, if it has one
};

struct LaunchPlan {
  ProcessPlan process;
  std::vector<NamespacePlan> namespaces;  // without "mount", which is always new
  std::vector<oci::IdMapping> uid_mappings;
  std::vector<oci::IdMapping> gid_mappings;
  RootfsPlan rootfs;
  bool rootfs_readonly = false;
  uint64_t rootfs_propagation = 0;  // MS_SHARED, MS_SLAVE or 0 for private
  std::vector<MountPlan> mounts;
  std::vector<CgroupBind> cgroup_binds;
  bool populate_dev =
      false;  // /dev is a file system of the container's own: nodes and links belong in it
  std::vector<DevicePlan> devices;
  std::string hostname;
  std::vector<SysctlPlan> sysctls;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;

  // Builder's part.
  std::string
      bundle;  // a directory of ours, where the new root is attached before it becomes the root
  int rootfs_tree = -1;  // detached
  int null_tree = -1;    // the host's /dev/null, detached and read-only: what covers masked files
  int barrier = -1;      // read end; the child waits for one byte. -1: it goes at once

  const NamespacePlan* Find(int type) const {
    for (const NamespacePlan& entry : namespaces) {
      if (entry.type == type) return &entry;
    }
    return nullptr;
  }
  bool IsNew(int type) const { return Find(type) != nullptr && Find(type)->path.empty(); }
};

}  // namespace crisp::shim
