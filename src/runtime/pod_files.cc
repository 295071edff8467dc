#include "runtime/pod_files.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "spec/pod_files.h"
#include "spec/sandbox_spec.h"

namespace crisp::runtime {
namespace {

namespace v1 = ::runtime::v1;

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

struct Place {
  base::UniqueFd directory;  // invalid when the pod has ended
  std::string path;
};

absl::StatusOr<Place> FindFiles(const sandbox::Sandbox& sandbox, const base::Paths& paths) {
  const std::optional<linux::ProcessRef> pause = sandbox.pause();
  if (!pause.has_value()) return absl::NotFoundError("the pod has no process");
  absl::StatusOr<base::UniqueFd> mounted = OpenDirectory(*pause);
  if (!mounted.ok() && !absl::IsNotFound(mounted.status())) return mounted.status();
  if (mounted.ok()) {
    if (faccessat(mounted->get(), kHosts, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
      return Place{.directory = *std::move(mounted),
                   .path = absl::StrCat("/proc/", pause->pid, "/root", spec::kPodFilesMount)};
    }
    if (errno != ENOENT) return base::Errno("look for", kHosts);
  }
  Place older = {.directory = base::UniqueFd(), .path = paths.SandboxDir(sandbox.id())};
  absl::StatusOr<base::UniqueFd> opened = base::Open(older.path, O_PATH | O_DIRECTORY);
  if (opened.ok()) older.directory = *std::move(opened);
  return older;
}

AsPodRoot AsRootOf(const sandbox::Sandbox& sandbox) {
  return AsPodRoot(
      sandbox.Read([](const store::SandboxRecord& record) { return RootOwner(record.config); }));
}

// A container that sees pause may have put a link in its place.
absl::StatusOr<base::UniqueFd> OpenPlain(int parent, const std::string& name) {
  return base::OpenAt(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

absl::StatusOr<base::UniqueFd> MakeDirectory(int parent, const std::string& name) {
  if (mkdirat(parent, name.c_str(), 0755) != 0 && errno != EEXIST) return base::Errno("make", name);
  return OpenPlain(parent, name);
}

absl::Status LinkHostname(int directory, const std::string& container) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd all, MakeDirectory(directory, spec::kContainerLinks));
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd own, MakeDirectory(all.get(), container));
  if (linkat(directory, spec::kHostnameFile, own.get(), spec::kHostnameFile, 0) == 0)
    return absl::OkStatus();
  const absl::Status failed = base::Errno("link", spec::kHostnameFile);
  (void)unlinkat(all.get(), container.c_str(), AT_REMOVEDIR);
  return failed;
}

void UnlinkHostname(int directory, const std::string& container) {
  const absl::StatusOr<base::UniqueFd> all = OpenPlain(directory, spec::kContainerLinks);
  if (!all.ok()) return;
  const absl::StatusOr<base::UniqueFd> own = OpenPlain(all->get(), container);
  if (!own.ok()) return;
  (void)unlinkat(own->get(), spec::kHostnameFile, 0);
  (void)unlinkat(all->get(), container.c_str(), AT_REMOVEDIR);
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
  CRISP_RETURN_IF_ERROR(Write(directory.get(), spec::kHostnameFile, hostname + "\n"));
  return Write(directory.get(), kHosts, hosts.ok() ? *hosts : "127.0.0.1 localhost\n");
}

absl::StatusOr<PodFiles> PlacePodFiles(const sandbox::Sandbox& sandbox, const base::Paths& paths,
                                       const base::ContainerId& container) {
  CRISP_ASSIGN_OR_RETURN(const Place place, FindFiles(sandbox, paths));
  PodFiles files = {.hostname = base::JoinPath(place.path, spec::kHostnameFile),
                    .hosts = base::JoinPath(place.path, kHosts),
                    .resolv_conf = base::JoinPath(place.path, kResolvConf)};
  if (!place.directory.valid()) return files;
  const AsPodRoot owner = AsRootOf(sandbox);
  const absl::Status linked = LinkHostname(place.directory.get(), container.str());
  if (linked.ok()) {
    files.hostname = spec::ContainerHostname(place.path, container.str());
  } else {
    base::Log(base::LogLevel::kWarning, "a container does not show its id to tracers",
              {{"container", container.str()}, {"error", std::string(linked.message())}});
  }
  return files;
}

void RemoveContainerLink(const sandbox::Sandbox& sandbox, const base::Paths& paths,
                         const base::ContainerId& container) {
  const absl::StatusOr<Place> place = FindFiles(sandbox, paths);
  if (!place.ok() || !place->directory.valid()) return;
  const AsPodRoot owner = AsRootOf(sandbox);
  UnlinkHostname(place->directory.get(), container.str());
}

}  // namespace crisp::runtime
