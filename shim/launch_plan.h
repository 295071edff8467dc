// A container, or a process to be added to one, in the form the kernel takes it: flags instead of
// words, absolute clean paths, numbers instead of names. Filled in two parts:
//   - plan_compiler.h compiles the spec, without touching the system;
//   - the builder (builder.h) adds what has to be opened on the host ("Builder's part" below).
// The child's steps (child/step.h) only read it: strings and vectors do not change after clone3, so
// the child allocates nothing.
//
// Descriptors are plain ints, all O_CLOEXEC, and are not closed one by one: they end with the
// builder process and with the child's execve.
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

// What a container's file system is made of; see Rootfs in shim.proto. Without `lowers` it is
// `directory`, as it is.
struct RootfsPlan {
  std::string directory;
  bool below_bundle = false;  // `directory` is relative to the bundle
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
  // For options.idmap; empty: the mappings of the container's user namespace.
  std::vector<oci::IdMapping> uid_mappings;
  std::vector<oci::IdMapping> gid_mappings;
  RootfsPlan image;
  std::string sub_path;
  // Asked for by the image: only on its own files, or on another such volume.
  bool is_image_volume = false;

  // Builder's part: the detached tree of a bind, an image or a procfs of a PID namespace that is
  // joined, ready to be attached.
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

  // Builder's part, only with a user namespace, where mknod(2) is not allowed: the host's node.
  int tree = -1;
};

struct NamespacePlan {
  int type = 0;      // CLONE_NEW*
  std::string path;  // of the namespace to join; empty: a new namespace
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
  // Paths to try to execute: args[0] in every directory of PATH, or args[0] if it has a slash.
  std::vector<std::string> programs;
  std::string cwd;
  bool terminal = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  mode_t umask = 0022;
  std::optional<CapabilityPlan> capabilities;  // absent: those of the shim
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
  bool in_user_namespace = false;  // the child becomes root of the namespace the builder has joined
  int done = -1;                   // besides 0 to 2 the only one open when the child is to execute
  int console_socket = -1;         // where the pty master is sent, if terminal
  int private_proc = -1;      // a detached procfs of the shim's own; only for steps that need it
  std::vector<int> v1_tasks;  // `tasks` of the container's cgroup v1 groups, `cpu` last
  int cgroup_namespace = -1;  // for an exec: the container's, if it has one
  // The PID namespace to join, or a pidfd of a process in it. -1: the child has its PID namespace
  // from the clone, or keeps the shim's.
  int pid_namespace = -1;
  uint64_t seccomp_gate = 0;  // see seccomp_gate.h; 0: the filter has none
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
  // /dev is a new file system of the container, to be filled with device nodes and links.
  bool populate_dev = false;
  std::vector<DevicePlan> devices;
  std::string hostname;
  std::vector<SysctlPlan> sysctls;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;

  // Builder's part.
  std::string bundle;    // the directory over which the new root is attached
  int rootfs_tree = -1;  // detached
  int null_tree = -1;    // the host's /dev/null, detached and read-only; covers masked files
  int barrier = -1;      // read end: the child waits for one byte. -1: it does not wait

  const NamespacePlan* Find(int type) const {
    for (const NamespacePlan& entry : namespaces) {
      if (entry.type == type) return &entry;
    }
    return nullptr;
  }
  bool IsNew(int type) const { return Find(type) != nullptr && Find(type)->path.empty(); }
};

}  // namespace crisp::shim
