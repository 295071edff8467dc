#include "bundle.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/id.h"
#include "base/paths.h"
#include "oci/runtime_spec_codec.h"

namespace crisp::test {
namespace {

void Shell(const std::string& command) {
  INFO(command);
  REQUIRE(system(command.c_str()) == 0);
}

struct Directory {
  Directory() : path(absl::StrCat("/tmp/crisp-shim-test-", getpid())) {
    const std::string layer = path + "/layer";
    Shell(absl::StrCat(
        "set -e; rm -rf ", path, "; mkdir -p ", layer, "; cd ", layer,
        "; mkdir -p bin lib lib64 etc proc sys dev tmp root home/user usr/bin var; chmod 1777 tmp; "
        "chown 1000:1000 home/user",
        "; chmod 0700 root; cp /usr/bin/busybox bin/busybox",
        "; for f in $(ldd /usr/bin/busybox | grep -o '/[^ ]*'); do mkdir -p .$(dirname $f); cp -L "
        "$f .$f; done",
        "; for a in $(/usr/bin/busybox --list); do ln bin/busybox bin/$a 2>/dev/null || true; done",
        "; printf 'root:x:0:0::/root:/bin/sh\\nuser:x:1000:1000::/home/user:/bin/sh\\n' "
        ">etc/passwd",
        "; printf 'root:x:0:\\nuser:x:1000:\\ntty:x:5:\\n' >etc/group"));
  }
  ~Directory() { (void)!system(absl::StrCat("rm -rf ", path).c_str()); }
  std::string path;
};

cgroup::Cgroups& Groups() {
  static auto* const groups = [] {
    auto opened = cgroup::Cgroups::Open({});
    REQUIRE(opened.ok());
    return opened->release();
  }();
  return *groups;
}

shim_client::Launcher NewLauncher() {
  auto created = shim_client::Launcher::Create(CRISP_SHIM);
  REQUIRE(created.ok());
  return *std::move(created);
}

const shim_client::Launcher& Shims() {
  static const auto* const launcher = new shim_client::Launcher(NewLauncher());
  return *launcher;
}

}  // namespace

const std::string& WorkDirectory() {
  static const Directory directory;
  return directory.path;
}

std::string Slurp(const std::string& path) {
  absl::StatusOr<std::string> text = base::ReadFile(path);
  INFO(path);
  REQUIRE(text.ok());
  return *text;
}

std::string Await(const std::string& path, const std::function<bool(const std::string&)>& done) {
  constexpr size_t kHeadBytes = 1 << 20;
  const base::Deadline deadline = DeadlineIn(20'000);
  std::string text;
  while (!deadline.Passed()) {
    // Never ReadFile(): it refuses a file over its limit, which a busy writer may pass at any time.
    const base::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    text.assign(kHeadBytes, '\0');
    const ssize_t size = file.valid() ? pread(file.get(), text.data(), text.size(), 0) : 0;
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    text.resize(text.rfind('\n') + 1);  // the last line may still be on its way
    if (done(text)) return text;
    poll(nullptr, 0, 2);  // another process writes the file, and there is no event for its content
  }
  FAIL(path << ": the text awaited did not come within 20 s, but: " << text.substr(0, 1000));
  return "";
}

oci::Spec DefaultSpec(std::vector<std::string> args) {
  oci::Spec spec;
  spec.process.args = std::move(args);
  spec.process.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root"};
  const std::vector<std::string> caps = {
      "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
      "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
      "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
      "CAP_KILL",    "CAP_AUDIT_WRITE"};
  spec.process.capabilities = oci::Capabilities{
      .bounding = caps, .effective = caps, .inheritable = {}, .permitted = caps, .ambient = {}};
  spec.root.path = "rootfs";
  spec.mounts = {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
       {},
       {}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
      {"/sys/fs/cgroup",
       "cgroup",
       "cgroup",
       {"nosuid", "noexec", "nodev", "relatime", "ro"},
       {},
       {}},
      {"/dev/shm",
       "tmpfs",
       "shm",
       {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"},
       {},
       {}}};
  spec.linux_.namespaces = {{"pid", ""}, {"network", ""}, {"ipc", ""},
                            {"uts", ""}, {"mount", ""},   {"cgroup", ""}};
  spec.linux_.masked_paths = {"/proc/acpi",
                              "/proc/asound",
                              "/proc/kcore",
                              "/proc/keys",
                              "/proc/latency_stats",
                              "/proc/timer_list",
                              "/proc/timer_stats",
                              "/proc/sched_debug",
                              "/sys/firmware",
                              "/proc/scsi",
                              "/sys/devices/virtual/powercap"};
  spec.linux_.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                "/proc/sysrq-trigger"};
  return spec;
}

oci::Spec ShellSpec(const std::string& script) { return DefaultSpec({"sh", "-c", script}); }

Bundle::Bundle() : id_(base::NewId()), path_(WorkDirectory() + "/" + id_.substr(0, 12)) {
  cgroup_path_ = absl::StrCat("/crisp-shim-test-", getpid(), "/", id_);
  REQUIRE(base::MakeDirs(path_, 0700).ok());
  REQUIRE(base::MakeDirs(upper(), 0755).ok());
  REQUIRE(base::MakeDirs(path_ + ".upper/work", 0755).ok());
  shim::v1::Rootfs& rootfs = *request_.mutable_rootfs();
  rootfs.set_base(WorkDirectory());
  rootfs.add_lowers("layer");
  const std::string name = path_.substr(path_.rfind('/') + 1);
  rootfs.set_upper(name + ".upper/fs");
  rootfs.set_work(name + ".upper/work");
  request_.set_log_path(log_path());
}

Bundle::~Bundle() {
  if (shim_.has_value()) {
    Kill();
    (void)WaitExit();
  }
  (void)Groups().Kill(cgroup_path_);
  (void)Groups().Remove(cgroup_path_, absl::Seconds(10));
  for (const char* suffix : {"", ".upper", ".log"}) (void)base::RemoveTree(path_ + suffix);
  (void)unlink(log_path().c_str());
}

std::string Bundle::group() const { return Groups().layout().At(cgroup_path_).v2; }

void Bundle::AddFile(const std::string& name, const std::string& text, mode_t mode) {
  const std::string file = base::JoinPath(upper(), name);
  REQUIRE(base::MakeDirs(file.substr(0, file.rfind('/')), 0755).ok());
  REQUIRE(base::WriteFileAtomic(file, text, mode).ok());
}

void Bundle::MakeLauncher() { launcher_ = NewLauncher(); }

shim_client::LaunchedShim Bundle::Launch(const oci::Spec& spec) {
  REQUIRE(base::WriteFileAtomic(path_ + "/config.json", oci::EncodeRuntimeSpec(spec), 0600).ok());
  REQUIRE(base::WriteFileAtomic(path_ + "/exec.json", oci::EncodeExecSpec(spec), 0600).ok());
  const absl::Status created = Groups().Create(cgroup_path_, limits_);
  INFO(created);
  REQUIRE(created.ok());
  const cgroup::Directories directories = Groups().layout().At(cgroup_path_);
  request_.set_cgroup_v2(directories.v2);
  if (!only_cgroup2_) {
    for (const std::string& directory : directories.v1) request_.add_cgroup_v1(directory);
  }
  const shim_client::Launcher& launcher = launcher_.has_value() ? *launcher_ : Shims();
  absl::StatusOr<shim_client::LaunchedShim> shim = launcher.Launch(path_, id_);
  INFO(shim.status());
  REQUIRE(shim.ok());
  return *std::move(shim);
}

absl::StatusOr<shim::v1::Started> Bundle::StartBy(shim_client::LaunchedShim& shim) {
  absl::StatusOr<shim_client::PendingStart> pending =
      shim_client::PendingStart::Ask(std::move(shim.operation), request_);
  if (!pending.ok()) return pending.status();
  return pending->Run(DeadlineIn(20'000));
}

absl::StatusOr<shim::v1::Started> Bundle::Start(
    const oci::Spec& spec, const std::function<absl::Status(pid_t)>& on_created) {
  shim_ = Launch(spec);
  absl::StatusOr<shim::v1::Started> started = absl::InternalError("");
  if (on_created == nullptr) {
    started = StartBy(*shim_);
  } else {
    request_.set_park(true);
    absl::StatusOr<shim_client::PendingStart> pending =
        shim_client::PendingStart::Ask(std::move(shim_->operation), request_);
    if (!pending.ok()) return pending.status();
    absl::StatusOr<shim_client::ParkedStart> parked = pending->Park(DeadlineIn(20'000));
    absl::Status status = parked.status();
    if (status.ok()) status = on_created(parked->pid());
    if (!status.ok()) return status;
    started = parked->Release(DeadlineIn(20'000));
  }
  if (started.ok()) shim_pid_ = started->shim_pid();
  return started;
}

absl::StatusOr<ipc::ExitRecord> Bundle::WaitExit() {
  pollfd entry = {.fd = shim_->tether.fd(), .events = POLLIN, .revents = 0};
  if (poll(&entry, 1, 20'000) != 1) return absl::DeadlineExceededError("the shim did not end");
  siginfo_t info;
  REQUIRE(waitid(P_PIDFD, static_cast<id_t>(shim_->pidfd.get()), &info, WEXITED) == 0);
  shim_.reset();
  return shim_client::ReadExit(path_);
}

std::string Bundle::Run(const oci::Spec& spec, int expected_code) {
  const absl::StatusOr<shim::v1::Started> started = Start(spec);
  INFO(started.status());
  REQUIRE(started.ok());
  const absl::StatusOr<ipc::ExitRecord> fact = WaitExit();
  INFO(fact.status());
  REQUIRE(fact.ok());
  const std::string text = LogText();
  INFO(text);
  REQUIRE(fact->exit_code == expected_code);
  return text;
}

void Bundle::Kill() { (void)Groups().Kill(cgroup_path_); }

bool Bundle::ShimIsAlive() const {
  pollfd entry = {.fd = shim_->tether.fd(), .events = POLLIN, .revents = 0};
  return poll(&entry, 1, 0) == 0;
}

std::string Bundle::RawLog() const {
  return base::ReadFile(log_path(), size_t{1} << 30).value_or("");
}

std::string Bundle::LogText() const {
  std::string text;
  const std::string raw = RawLog();
  for (size_t at = 0; at < raw.size();) {
    const size_t end = raw.find('\n', at);
    REQUIRE(end != std::string::npos);
    // "2026-11-21T11:22:33.123456789Z stdout F "
    constexpr size_t kHeader = 40;
    REQUIRE(end - at >= kHeader);
    text.append(raw, at + kHeader, end - at - kHeader);
    if (raw[at + kHeader - 2] == 'F') text += '\n';
    at = end + 1;
  }
  return text;
}

absl::StatusOr<Bundle::ExecResult> Bundle::Exec(const std::vector<std::string>& args,
                                                int64_t timeout_ms) {
  int out[2], err[2];
  REQUIRE((pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0));
  base::UniqueFd out_read(out[0]), out_write(out[1]), err_read(err[0]), err_write(err[1]);
  base::UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  absl::StatusOr<shim_client::ExecSession> session = shim_client::ExecSession::Open(
      path_, args, false, {null.get(), out_write.get(), err_write.get()}, DeadlineIn(timeout_ms));
  out_write.reset();
  err_write.reset();
  if (!session.ok()) return session.status();
  ExecResult result;
  absl::StatusOr<int> code = session->Wait(DeadlineIn(timeout_ms));
  if (absl::IsDeadlineExceeded(code.status())) {
    REQUIRE(session->Kill().ok());
    absl::StatusOr<int> killed = session->Wait(DeadlineIn(20'000));
    REQUIRE(killed.ok());
    return absl::DeadlineExceededError(absl::StrCat("killed: ", *killed));
  }
  if (!code.ok()) return code.status();
  result.exit_code = *code;
  result.out = Drain(out_read.get());
  result.err = Drain(err_read.get());
  return result;
}

absl::StatusOr<shim_client::AttachSession> AttachTo(const Bundle& bundle,
                                                    const shim::v1::Attach& request,
                                                    const std::vector<int>& outputs,
                                                    base::Deadline deadline) {
  absl::StatusOr<ipc::Channel> asked = shim_client::AskAttach(bundle.path(), request, outputs);
  if (!asked.ok()) return asked.status();
  return shim_client::Attached(*std::move(asked), deadline);
}

std::string Drain(int fd) {
  std::string text;
  char buffer[65536];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof(buffer))) > 0) text.append(buffer, static_cast<size_t>(n));
  return text;
}

base::Deadline DeadlineIn(int64_t milliseconds) {
  return base::Deadline::In(absl::Milliseconds(milliseconds));
}

}  // namespace crisp::test
