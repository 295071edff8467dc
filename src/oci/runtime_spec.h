// The OCI runtime specification (runtime-spec v1.2, config.json) as typed structs, in the order of
// the document. Only the members that crisp supports; oci/runtime_spec_codec.h turns them into text
// and back, so the same bundle also runs under runc or crun. Absent members are empty containers or
// std::nullopt. Plain values, thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace crisp::oci {

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;
};

// Names with the CAP_ prefix.
struct Capabilities {
  std::vector<std::string> bounding;
  std::vector<std::string> effective;
  std::vector<std::string> inheritable;
  std::vector<std::string> permitted;
  std::vector<std::string> ambient;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  uint64_t soft = 0;
  uint64_t hard = 0;
};

struct Process {
  bool terminal = false;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;  // "NAME=value"
  std::string cwd = "/";
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<int> oom_score_adj;
};

struct Root {
  // "rootfs" (the shim mounts it as the start request says), or an absolute directory (pause).
  std::string path;
  bool readonly = false;
};

struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
};

// The type of a bind mount that the image asked for, and not the pod. To other runtimes the type of
// a bind mount says nothing.
inline constexpr char kImageVolume[] = "image-volume";

struct Mount {
  std::string destination;
  // "bind", kImageVolume, "proc", "tmpfs", "sysfs", "mqueue", "devpts", "cgroup"
  std::string type;
  std::string source;
  // Options of mount(8): rbind, bind, ro, rro, rw, nosuid, noexec, nodev, [r]private, [r]slave,
  // [r]shared, idmap, ...; other words are options of the file system ("mode=755", "size=64m").
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
};

struct Namespace {
  std::string type;  // "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"
  std::string path;  // empty: a new one
};

struct Device {
  std::string path;
  char type = 'c';  // 'c', 'b', 'p'
  int64_t major = 0;
  int64_t minor = 0;
  std::optional<uint32_t> file_mode;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
};

struct DeviceRule {
  bool allow = false;
  char type = 'a';               // 'a', 'c', 'b'
  std::optional<int64_t> major;  // absent: all
  std::optional<int64_t> minor;
  std::string access;  // of "rwm"
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  uint64_t limit = 0;     // bytes
};

// Units as in the document: bytes, microseconds, shares. -1 is "no limit" for members that are
// signed.
struct Resources {
  std::vector<DeviceRule> devices;
  std::optional<int64_t> memory_limit;
  std::optional<int64_t> memory_swap;  // memory + swap in total
  std::optional<uint64_t> cpu_shares;
  std::optional<int64_t> cpu_quota;
  std::optional<uint64_t> cpu_period;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::optional<int64_t> pids_limit;
  std::vector<HugepageLimit> hugepage_limits;
  std::map<std::string, std::string> unified;
};

struct SeccompArg {
  uint32_t index = 0;
  uint64_t value = 0;
  uint64_t value_two = 0;
  std::string op;  // "SCMP_CMP_EQ", ...
};

struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW", ...
  std::optional<uint32_t> errno_ret;
  std::vector<SeccompArg> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64"; empty: the native one
  std::vector<std::string> flags;
  std::vector<SeccompSyscall> syscalls;
};

struct Linux {
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  std::map<std::string, std::string> sysctl;
  std::optional<Resources> resources;
  std::string cgroups_path;
  std::vector<Namespace> namespaces;
  std::vector<Device> devices;
  std::optional<Seccomp> seccomp;
  // Counts together with `seccomp`: what one of the two denies is denied. Not in config.json, as
  // the document has one profile; only in the filter beside it (ipc/seccomp_file.h).
  std::optional<Seccomp> artifact_seccomp;
  std::string rootfs_propagation;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;
};

struct Spec {
  std::string version = "1.2.0";
  Process process;
  Root root;
  std::string hostname;
  std::vector<Mount> mounts;
  std::map<std::string, std::string> annotations;
  Linux linux_;  // GCC's GNU dialect defines a macro "linux"
};

}  // namespace crisp::oci
