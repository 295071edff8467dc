#include "runtime/pod_files.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "spec/pod_files.h"
#include "spec/sandbox_spec.h"

namespace crisp::runtime {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kHostname[] = "hostname";
constexpr char kHosts[] = "hosts";
constexpr char kResolvConf[] = "resolv.conf";
constexpr size_t kMaxHostFile = 1 << 20;

// While it exists, the files this thread makes belong to the pod's root: in a file system of the
// pod's user namespace the host's root cannot make any.
class AsPodRoot {
 public:
  explicit AsPodRoot(const snapshot::Owner& owner) {
    setfsgid(owner.gid);
    setfsuid(owner.uid);
  }
  ~AsPodRoot() {
    setfsuid(0);
    setfsgid(0);
  }
};

absl::StatusOr<base::UniqueFd> OpenDirectory(const linux::ProcessRef& pause) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd process, pause.OpenProcDirectory());
  return base::OpenAt(process.get(), absl::StrCat("root", spec::kPodFilesMount),
                      O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

absl::Status Write(int directory, const char* name, absl::string_view text) {
  constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd file, base::OpenAt(directory, name, kNew, 0644));
  // Independent of crispd's umask.
  if (fchmod(file.get(), 0644) != 0) return base::Errno("chmod", name);
  return base::WriteAll(file.get(), text);
}

}  // namespace

snapshot::Owner RootOwner(const v1::PodSandboxConfig& sandbox) {
  const v1::UserNamespace& userns =
      sandbox.linux().security_context().namespace_options().userns_options();
  if (userns.mode() != v1::POD || userns.uids().empty() || userns.gids().empty()) return {};
  return {.uid = userns.uids(0).host_id(), .gid = userns.gids(0).host_id()};
}

absl::StatusOr<std::string> PodHostname(const v1::PodSandboxConfig& config) {
  char node[256];
  if (gethostname(node, sizeof(node)) != 0) return base::Errno("gethostname", "");
  return spec::Hostname(config, node);
}

absl::Status WritePodFiles(const linux::ProcessRef& pause, const v1::PodSandboxConfig& config) {
  CRISP_ASSIGN_OR_RETURN(const std::string hostname, PodHostname(config));
  absl::StatusOr<std::string> resolv_conf = base::ReadFile("/etc/resolv.conf", kMaxHostFile);
  if (!resolv_conf.ok() && !absl::IsNotFound(resolv_conf.status())) return resolv_conf.status();
  const absl::StatusOr<std::string> hosts = base::ReadFile("/etc/hosts", kMaxHostFile);
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd directory, OpenDirectory(pause));
  const AsPodRoot owner(RootOwner(config));
  CRISP_RETURN_IF_ERROR(
      Write(directory.get(), kResolvConf,
            spec::ResolvConf(config, resolv_conf.ok() ? *resolv_conf : std::string())));
  base::Failpoint("run sandbox: one pod file written");
  CRISP_RETURN_IF_ERROR(Write(directory.get(), kHostname, hostname + "\n"));
  return Write(directory.get(), kHosts, hosts.ok() ? *hosts : "127.0.0.1 localhost\n");
}

absl::StatusOr<PodFiles> FindPodFiles(const linux::ProcessRef& pause,
                                      const std::string& directory) {
  const absl::StatusOr<base::UniqueFd> mounted = OpenDirectory(pause);
  if (!mounted.ok() && !absl::IsNotFound(mounted.status())) return mounted.status();
  const bool here =
      mounted.ok() && faccessat(mounted->get(), kHosts, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  if (mounted.ok() && !here && errno != ENOENT) return base::Errno("look for", kHosts);
  const std::string from =
      here ? absl::StrCat("/proc/", pause.pid, "/root", spec::kPodFilesMount) : directory;
  return PodFiles{.hostname = base::JoinPath(from, kHostname),
                  .hosts = base::JoinPath(from, kHosts),
                  .resolv_conf = base::JoinPath(from, kResolvConf)};
}

}  // namespace crisp::runtime
