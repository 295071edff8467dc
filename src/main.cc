// crispd: reads the configuration, makes the parts, serves CRI until SIGTERM or SIGINT. SIGHUP has
// it read the configuration again. Containers outlive it.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "client/answers.h"
#include "config/config.h"
#include "cri/event_announcer.h"
#include "digest/hasher.h"
#include "events/hub.h"
#include "layers/layer_store.h"
#include "layers/layer_use.h"
#include "linux/apparmor.h"
#include "linux/null_device.h"
#include "linux/open_files.h"
#include "rpc/grpc_service.h"
#include "runtime/runtime.h"
#include "service/journal.h"
#include "service/notify.h"
#include "service/watchdog.h"
#include "snapshot/unpack_processes.h"
#include "spec/apparmor_default.h"

namespace crisp {
namespace {

using base::LogLevel;

// Calls that end by themselves have this long after SIGTERM.
constexpr unsigned kStopSeconds = 3;

// The directory crispd runs from holds its helpers in a build; installed, they are in libexec/crisp
// beside bin.
absl::StatusOr<std::string> FindHelper(const std::string& name) {
  char self[4096];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
  if (n <= 0) return base::Errno("readlink", "/proc/self/exe");
  const std::string path(self, static_cast<size_t>(n));
  const std::string dir = path.substr(0, path.rfind('/'));
  for (const std::string& place :
       {base::JoinPath(dir, name), base::JoinPath(dir, "../libexec/crisp", name)}) {
    if (access(place.c_str(), X_OK) == 0) return place;
  }
  return absl::NotFoundError(
      absl::StrCat(name, " is neither in ", dir, " nor in ", dir, "/../libexec/crisp"));
}

// Makes and locks a directory. It has one crispd: a second would take what the first is in the
// middle of for leftovers. The lock is the directory's own, because on a full or read-only disk no
// file could be made; it ends with the process, however that ends.
absl::StatusOr<base::UniqueFd> Claim(const std::string& directory, mode_t mode) {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(directory, mode));
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd lock, base::Open(directory, O_RDONLY | O_DIRECTORY));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return base::Errno("lock", directory);
  return absl::AlreadyExistsError(absl::StrCat("another crispd uses ", directory));
}

void WarnOfMissingRights() {
  const absl::StatusOr<std::string> status = base::ReadFile("/proc/self/status");
  const size_t at = status.ok() ? status->find("CapEff:\t") : std::string::npos;
  if (at == std::string::npos) return;
  const uint64_t effective = strtoull(status->c_str() + at + 8, nullptr, 16);
  constexpr int kCapSysResource = 24;
  if ((effective >> kCapSysResource & 1) == 0) {
    base::Log(LogLevel::kWarning,
              "no CAP_SYS_RESOURCE: oom_score_adj cannot be lowered, hard rlimits cannot be "
              "raised; going on without");
  }
}

// Also when it is loaded already: an older crispd may have done that.
void LoadDefaultAppArmorProfile() {
  if (!linux::ReadAppArmor().enabled) return;
  const absl::Status loaded = linux::LoadAppArmorPolicy(spec::kDefaultAppArmorPolicy,
                                                        base::Deadline::In(absl::Seconds(30)));
  if (loaded.ok()) return;
  base::Log(LogLevel::kWarning, "the default AppArmor profile cannot be loaded; going on without",
            {{"profile", spec::kDefaultAppArmorProfile}, {"error", std::string(loaded.message())}});
}

// The same after a restart, and another one for every crispd in the group. The name must fit a
// cgroup, whatever the directory's path is.
std::string GroupFor(const std::string& own_group, absl::string_view what,
                     const base::Paths& paths) {
  return absl::StrCat(own_group, "/", what, "-", digest::Sha256(paths.root()).substr(7, 12));
}

absl::StatusOr<std::unique_ptr<snapshot::UnpackProcesses>> OpenUnpackers(
    const std::string& own_group, const base::Paths& paths) {
  CRISP_ASSIGN_OR_RETURN(const std::string program, FindHelper("crisp-unpack"));
  CRISP_ASSIGN_OR_RETURN(auto unpackers, snapshot::UnpackProcesses::Open(program));
  const absl::Status grouped = unpackers->UseGroup(GroupFor(own_group, "unpack", paths));
  if (!grouped.ok())
    base::Log(LogLevel::kWarning, "layers are unpacked without a cgroup of their own",
              {{"error", std::string(grouped.message())}});
  return unpackers;
}

absl::StatusOr<std::unique_ptr<snapshot::SnapshotStore>> OpenSnapshots(
    const base::Paths& paths, snapshot::UnpackWorkers& unpackers) {
  std::vector<std::string> problems;
  auto snapshots = snapshot::SnapshotStore::Open(
      {.root = paths.Snapshots(), .limits = {}, .workers = &unpackers}, &problems);
  for (const std::string& problem : problems)
    base::Log(LogLevel::kError, "the layers on disk", {{"problem", problem}});
  base::Failpoint("crispd starts: layers loaded");
  return snapshots;
}

absl::StatusOr<std::unique_ptr<image::ImageStore>> OpenImages(const base::Paths& paths,
                                                              const image::LayerTarget& layers) {
  auto images = image::ImageStore::Open(paths, layers);
  if (!images.ok()) return images;
  for (const std::string& file : (*images)->quarantined())
    base::Log(LogLevel::kError, "damaged image record, quarantined", {{"error", file}});
  base::Failpoint("crispd starts: images loaded");
  return images;
}

// Reads the file and the flags again.
using ReadConfig = std::function<absl::StatusOr<config::CommandLine>()>;

// crispd goes on without systemd's attention as it does without systemd.
void TellSystemd(service::State state) {
  const absl::Status told = service::Tell(state);
  if (!told.ok())
    base::Log(LogLevel::kWarning, "systemd is not told", {{"error", std::string(told.message())}});
}

// All of it or, when something in it is wrong, nothing. crisp-config(5) says what it changes.
void Reload(const config::Config& running, const ReadConfig& read, runtime::Runtime& runtime) {
  TellSystemd(service::State::kReloading);
  const absl::StatusOr<config::CommandLine> line = read();
  if (line.ok()) {
    base::SetLogLevel(*base::ParseLogLevel(line->config.log_level));
    runtime.Reload(line->config);
    base::Log(LogLevel::kInfo, "configuration reloaded");
    for (const std::string& key : config::KeysForNextStart(running, line->config))
      base::Log(LogLevel::kWarning, "a changed key counts from the next start on", {{"key", key}});
  } else {
    base::Log(LogLevel::kError, "configuration not reloaded, going on as before",
              {{"error", std::string(line.status().message())}});
  }
  TellSystemd(service::State::kReady);
}

// Null when systemd does not ask for it.
std::unique_ptr<service::Watchdog> StartWatchdog(const std::string& address) {
  const std::optional<absl::Duration> time = service::WatchdogTime();
  if (!time.has_value()) return nullptr;
  const auto client = std::make_shared<client::CriClient>(address);
  auto watchdog = service::Watchdog::Start(
      *time, [client](base::Deadline deadline) { return client::Answers(*client, deadline); },
      [] { TellSystemd(service::State::kAlive); });
  if (watchdog.ok()) return *std::move(watchdog);
  base::Log(LogLevel::kError, "systemd will end crispd, which cannot say that it works",
            {{"error", std::string(watchdog.status().message())}});
  return nullptr;
}

// Until SIGTERM or SIGINT.
void ServeUntil(const sigset_t& signals, const config::Config& config, const ReadConfig& read,
                rpc::GrpcServer& server, runtime::Runtime& runtime) {
  TellSystemd(service::State::kReady);
  std::unique_ptr<service::Watchdog> watchdog = StartWatchdog(config.address.front());
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) Reload(config, read, runtime);
  base::Log(LogLevel::kInfo, "stopping; containers run on", {{"signal", absl::StrCat(signal)}});
  // A call may wait for minutes, for a container's grace period or a CNI plugin, and cannot be told
  // to end. What it was asked for is on disk.
  ::signal(SIGALRM, [](int) { _exit(0); });
  alarm(kStopSeconds);
  TellSystemd(service::State::kStopping);
  watchdog.reset();
  runtime.BeginStop();
  server.Stop();
  runtime.Stop();
}

absl::Status Serve(const config::Config& config, const sigset_t& signals, const ReadConfig& read) {
  const base::Paths paths(config.root, config.state);
  CRISP_RETURN_IF_ERROR(linux::OpenNull().status());  // what every exec needs, before the first
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd root_lock, Claim(config.root, 0700));
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd state_lock, Claim(config.state, 0711));
  base::Failpoint("crispd starts: directories claimed");
  CRISP_ASSIGN_OR_RETURN(const std::string shim_program, FindHelper("crisp-shim"));
  CRISP_ASSIGN_OR_RETURN(const shim_client::Launcher shims,
                         shim_client::Launcher::Create(shim_program));
  // Two for each shim, a few for each exec: more than the 1024 that a service gets by default.
  linux::RaiseMaxOpenFiles();
  cgroup::Cgroups::Options groups;
  if (config.cgroup.driver == config::kSystemdDriver) groups.driver = cgroup::Driver::kSystemd;
  CRISP_ASSIGN_OR_RETURN(groups.holder_program, FindHelper("pause"));
  runtime::PauseRoot pause_root(paths.PauseRoot(), groups.holder_program);
  CRISP_ASSIGN_OR_RETURN(auto cgroups, cgroup::Cgroups::Open(std::move(groups)));
  CRISP_ASSIGN_OR_RETURN(const std::string own_group, cgroup::OwnDirectory(cgroups->layout()));
  CRISP_ASSIGN_OR_RETURN(const auto unpackers, OpenUnpackers(own_group, paths));
  CRISP_ASSIGN_OR_RETURN(auto snapshots, OpenSnapshots(paths, *unpackers));
  layers::LayerStore layers(*snapshots);
  CRISP_ASSIGN_OR_RETURN(std::unique_ptr<image::ImageStore> images, OpenImages(paths, layers));
  layers::LayerUse layer_use(*images, *snapshots);
  const image::PullOptions pull_options = {.registry_config_dirs = {config.registry.config_path}};
  image::Puller puller(pull_options, *images, layers, [&] { layer_use.DeleteUnused(); });
  const std::unique_ptr<cni::Network> network =
      cni::NewNetwork({.conf_dir = config.cni.conf_dir,
                       .plugin_dirs = config.cni.bin_dirs,
                       .native = config.cni.native,
                       .groups = GroupFor(own_group, "cni", paths) + "-"});
  runtime::Objects objects;
  events::Hub hub;
  cri::EventAnnouncer announcer(objects, hub);
  runtime::Runtime runtime({.config = config,
                            .paths = paths,
                            .cgroups = *cgroups,
                            .snapshots = *snapshots,
                            .images = *images,
                            .puller = puller,
                            .pull_options = pull_options,
                            .layer_use = layer_use,
                            .network = *network,
                            .shims = shims,
                            .objects = objects,
                            .listener = announcer,
                            .pause_root = pause_root,
                            .own_group = own_group});
  CRISP_RETURN_IF_ERROR(runtime.Start());
  base::Failpoint("crispd starts: not serving yet");
  CRISP_ASSIGN_OR_RETURN(std::unique_ptr<rpc::GrpcServer> server,
                         rpc::GrpcServer::Start(config.address, runtime.api(), hub));
  base::Log(LogLevel::kInfo, "serving",
            {{"address", absl::StrJoin(config.address, " ")}, {"version", CRISP_VERSION}});
  ServeUntil(signals, config, read, *server, runtime);
  cgroups->RemoveDefaultParent();
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  const absl::StatusOr<config::CommandLine> line = config::ParseCommandLine(argc, argv);
  if (!line.ok()) {
    fprintf(stderr, "crispd: %s\n", std::string(line.status().message()).c_str());
    return 2;
  }
  if (line->print_help) return printf("%s", line->help.c_str()), 0;
  if (line->print_version) return printf("crispd %s\n", CRISP_VERSION), 0;
  if (line->print_config) return printf("%s", config::ToToml(line->config).c_str()), 0;
  base::SetLogLevel(*base::ParseLogLevel(line->config.log_level));
  if (service::StderrIsJournal()) base::SetLogSink(service::SendToJournal);
  // Descriptors that crispd inherited must not reach programs it starts, and writing to a client
  // that has hung up must not end crispd.
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  signal(SIGPIPE, SIG_IGN);
  umask(0022);
  // glibc's own value, but fixed: it would grow with the first large block freed, and what one
  // large answer took would stay with every thread's arena from then on (mallopt(3)).
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  // Blocked before any thread exists, so that only sigwait gets them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  WarnOfMissingRights();
  LoadDefaultAppArmorProfile();
  const absl::Status status =
      Serve(line->config, signals, [=] { return config::ParseCommandLine(argc, argv); });
  if (!status.ok()) {
    base::Log(LogLevel::kError, "crispd cannot run", {{"error", std::string(status.message())}});
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace crisp

int main(int argc, char** argv) { return crisp::Main(argc, argv); }
