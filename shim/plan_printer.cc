#include "shim/plan_printer.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "linux/capabilities.h"

namespace crisp::shim {
namespace {

class Text {
 public:
  template <typename... Parts>
  void Line(const Parts&... parts) {
    absl::StrAppend(&text_, parts...);
    text_ += '\n';
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string Quoted(const std::string& word) {
  return absl::StrCat("\"", absl::CHexEscape(word), "\"");
}

const char* TypeName(int type) {
  switch (type) {
    case CLONE_NEWPID:
      return "pid";
    case CLONE_NEWNET:
      return "network";
    case CLONE_NEWIPC:
      return "ipc";
    case CLONE_NEWUTS:
      return "uts";
    case CLONE_NEWUSER:
      return "user";
    default:
      return "cgroup";
  }
}

const char* PropagationName(uint64_t propagation) {
  switch (propagation) {
    case MS_SHARED:
      return "shared";
    case MS_SLAVE:
      return "slave";
    case MS_UNBINDABLE:
      return "unbindable";
    default:
      return "private";
  }
}

void PrintMappings(Text& text, const char* name, const std::vector<oci::IdMapping>& mappings) {
  for (const oci::IdMapping& map : mappings) {
    text.Line("  ", name, " ", map.container_id, " -> ", map.host_id, " x ", map.size);
  }
}

void PrintNamespaces(Text& text, const LaunchPlan& plan) {
  for (const NamespacePlan& entry : plan.namespaces) {
    text.Line("namespace ", TypeName(entry.type), entry.path.empty() ? " new" : " join ",
              entry.path);
  }
  PrintMappings(text, "uid", plan.uid_mappings);
  PrintMappings(text, "gid", plan.gid_mappings);
}

void PrintRootfs(Text& text, const char* what, const RootfsPlan& rootfs) {
  if (rootfs.lowers.empty()) {
    text.Line(what, " directory ", rootfs.below_bundle ? "<bundle>" : "", rootfs.directory);
    return;
  }
  text.Line(what, " overlay in ", rootfs.base);
  for (const std::string& lower : rootfs.lowers) text.Line("  lower ", lower);
  if (!rootfs.upper.empty()) text.Line("  upper ", rootfs.upper, ", work ", rootfs.work);
}

void PrintAttributes(Text& text, const char* what, const linux::MountAttributes& attributes) {
  if (attributes.set != 0) text.Line("  ", what, " set ", linux::AttributeWords(attributes.set));
  const uint64_t clear = attributes.clear & ~uint64_t{MOUNT_ATTR__ATIME};
  if (clear != 0) text.Line("  ", what, " clear ", linux::AttributeWords(clear));
}

void PrintMount(Text& text, const MountPlan& mount) {
  switch (mount.kind) {
    case MountKind::kBind:
      text.Line("mount ", mount.destination, mount.options.recursive ? " rbind " : " bind ",
                mount.source);
      break;
    case MountKind::kImage:
      PrintRootfs(text, absl::StrCat("mount ", mount.destination, " image").c_str(), mount.image);
      if (!mount.sub_path.empty()) text.Line("  sub path ", Quoted(mount.sub_path));
      break;
    case MountKind::kFilesystem:
      text.Line("mount ", mount.destination, " ", mount.fs_type);
      break;
    case MountKind::kCgroup:
      text.Line("mount ", mount.destination, " cgroup");
      break;
  }
  PrintAttributes(text, "top", mount.options.top);
  PrintAttributes(text, "tree", mount.options.tree);
  if (mount.kind == MountKind::kBind) {
    const bool recursive = mount.options.propagation == 0 || mount.options.propagation_recursive;
    text.Line("  propagation ", recursive ? "r" : "", PropagationName(mount.options.propagation));
  }
  if (mount.options.idmap) text.Line("  idmap", mount.options.idmap_recursive ? " recursive" : "");
  PrintMappings(text, "  uid", mount.uid_mappings);
  PrintMappings(text, "  gid", mount.gid_mappings);
  for (const auto& [key, value] : mount.options.data)
    text.Line("  option ", key, value.empty() ? "" : "=", value);
}

void PrintDevice(Text& text, const DevicePlan& device) {
  const char type = S_ISBLK(device.mode) ? 'b' : S_ISFIFO(device.mode) ? 'p' : 'c';
  text.Line("device ", device.path, " ", std::string(1, type), " ", major(device.device), ":",
            minor(device.device), absl::StrFormat(" %04o ", device.mode & 07777), device.uid, ":",
            device.gid);
}

std::string Capabilities(uint64_t mask) {
  return mask == 0 ? "none" : absl::StrJoin(linux::CapabilityNames(mask), " ");
}

void PrintProcess(Text& text, const ProcessPlan& process) {
  text.Line("user ", process.uid, ":", process.gid, " groups [", absl::StrJoin(process.groups, " "),
            "]", absl::StrFormat(" umask %04o", process.umask));
  if (process.capabilities.has_value()) {
    text.Line("bounding ", Capabilities(process.capabilities->bounding));
    text.Line("permitted ", Capabilities(process.capabilities->permitted));
    text.Line("effective ", Capabilities(process.capabilities->effective));
    text.Line("ambient ", Capabilities(process.capabilities->ambient));
  }
  for (const RlimitPlan& limit : process.rlimits) {
    text.Line("rlimit ", limit.name, " ", limit.limit.rlim_cur, " ", limit.limit.rlim_max);
  }
  if (process.oom_score_adj.has_value()) text.Line("oom_score_adj ", *process.oom_score_adj);
  if (process.no_new_privileges) text.Line("no new privileges");
  if (!process.apparmor_profile.empty()) text.Line("apparmor ", process.apparmor_profile);
  if (!process.seccomp.empty()) text.Line("seccomp ", process.seccomp.size(), " instructions");
  if (process.terminal) text.Line("terminal");
  text.Line("cwd ", Quoted(process.cwd));
  for (const std::string& program : process.programs) text.Line("program ", Quoted(program));
  for (const std::string& arg : process.args) text.Line("arg ", Quoted(arg));
  for (const std::string& entry : process.env) text.Line("env ", Quoted(entry));
}

}  // namespace

std::string PrintPlan(const LaunchPlan& plan) {
  Text text;
  PrintNamespaces(text, plan);
  PrintRootfs(text, "rootfs", plan.rootfs);
  for (const MountPlan& mount : plan.mounts) PrintMount(text, mount);
  for (const CgroupBind& bind : plan.cgroup_binds)
    text.Line("cgroup ", bind.name, " ", bind.source);
  for (const DevicePlan& device : plan.devices) PrintDevice(text, device);
  if (plan.populate_dev) text.Line("links of /dev");
  if (!plan.hostname.empty()) text.Line("hostname ", Quoted(plan.hostname));
  for (const SysctlPlan& sysctl : plan.sysctls)
    text.Line("sysctl ", sysctl.path, " = ", Quoted(sysctl.value));
  for (const std::string& path : plan.readonly_paths) text.Line("read-only ", path);
  for (const std::string& path : plan.masked_paths) text.Line("masked ", path);
  if (plan.rootfs_propagation != 0)
    text.Line("rootfs propagation ", PropagationName(plan.rootfs_propagation));
  if (plan.rootfs_readonly) text.Line("rootfs read-only");
  PrintProcess(text, plan.process);
  return text.Take();
}

}  // namespace crisp::shim
