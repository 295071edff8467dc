#include "snapshot/unpack_processes.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cgroup/join.h"
#include "linux/detached_tree.h"
#include "linux/empty_namespace.h"
#include "linux/overlay.h"
#include "linux/reap.h"
#include "linux/spawn.h"
#include "linux/syscalls.h"
#include "snapshot/unpack_main.h"

namespace crisp::snapshot {
namespace {

constexpr absl::Duration kGroupEndTime = absl::Seconds(5);

const char* NameOf(UnpackRole role) { return role == UnpackRole::kDecode ? "decode" : "untar"; }

// Nothing of crispd's, except that a sanitizer's report must be seen.
std::vector<std::string> Environment() {
#ifdef __SANITIZE_ADDRESS__
  return {"ASAN_OPTIONS=detect_leaks=0", "UBSAN_OPTIONS=print_stacktrace=1"};
#elif defined(__SANITIZE_THREAD__)
  return {"TSAN_OPTIONS=ignore_noninstrumented_modules=1"};
#else
  return {};
#endif
}

}  // namespace

class UnpackProcesses::Process : public UnpackWorker {
 public:
  Process(UnpackProcesses& owner, UnpackRole role, linux::Child child)
      : owner_(owner), role_(role), child_(std::move(child)) {}
  ~Process() override {
    (void)Stop();
    owner_.Leave();
  }

  void Kill() override { (void)linux::SendSignal(child_.pidfd.get(), SIGKILL); }

  absl::Status Stop() override {
    Kill();
    Reap();
    if (end_->has_value()) return absl::OkStatus();
    return absl::DeadlineExceededError(
        absl::StrCat("the ", NameOf(role_), " process does not end"));
  }

  absl::Status WhyGone() override {
    Reap();
    const std::string name = absl::StrCat("the ", NameOf(role_), " process ");
    if (!end_->has_value()) return absl::InternalError(name + "has closed its connection");
    const siginfo_t& end = **end_;
    if (end.si_code == CLD_EXITED && end.si_status == kNoMemory) {
      return absl::ResourceExhaustedError(name + "needs more memory than it may use");
    }
    if (end.si_code == CLD_EXITED) {
      return absl::InternalError(absl::StrCat(name, "ended with exit code ", end.si_status));
    }
    if (end.si_status == SIGSYS) {
      return absl::InternalError(name + "was killed for a system call that it may not make");
    }
    return absl::InternalError(absl::StrCat(name, "was killed by SIG", Abbreviation(end)));
  }

 private:
  static std::string Abbreviation(const siginfo_t& end) {
    const char* name = sigabbrev_np(end.si_status);
    return name != nullptr ? name : absl::StrCat(" ", end.si_status);
  }

  // Once, because the number may be another child's afterwards.
  void Reap() {
    if (end_.has_value()) return;
    end_ = linux::Reap(child_.pid, child_.pidfd.get(), base::Deadline::In(linux::kEndTime));
  }

  UnpackProcesses& owner_;
  const UnpackRole role_;
  const linux::Child child_;
  std::optional<std::optional<siginfo_t>> end_;  // set once waited for, empty if it has not ended
};

absl::StatusOr<std::unique_ptr<UnpackProcesses>> UnpackProcesses::Open(const std::string& program,
                                                                       int max_processes) {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd file, base::Open(program, O_RDONLY));
  return std::unique_ptr<UnpackProcesses>(new UnpackProcesses(std::move(file), max_processes));
}

absl::Status UnpackProcesses::UseGroup(const std::string& directory) {
  CRISP_RETURN_IF_ERROR(cgroup::EndProgramGroup(directory, base::Deadline::In(kGroupEndTime)));
  group_directory_ = directory;
  return absl::OkStatus();
}

UnpackProcesses::~UnpackProcesses() {
  shared_.group.reset();
  if (group_directory_.empty()) return;
  (void)cgroup::EndProgramGroup(group_directory_, base::Deadline::In(kGroupEndTime));
}

absl::StatusOr<const UnpackProcesses::Shared*> UnpackProcesses::Enter() {
  absl::MutexLock lock(&mu_);
  if (processes_ >= max_processes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", max_processes_, " processes are unpacking layers"));
  }
  if (!shared_.mounts.valid()) {
    CRISP_ASSIGN_OR_RETURN(shared_.mounts, linux::MakeEmptyMountNamespace());
  }
  if (!group_directory_.empty() && !shared_.group.valid()) {
    CRISP_ASSIGN_OR_RETURN(shared_.group, cgroup::MakeProgramGroup(
                                              group_directory_, base::Deadline::In(kGroupEndTime)));
  }
  ++processes_;
  return &shared_;
}

void UnpackProcesses::Leave() {
  absl::MutexLock lock(&mu_);
  if (--processes_ > 0 || !shared_.group.valid()) return;
  // Not when one that did not end is in it. Then it stays for those that come.
  if (rmdir(group_directory_.c_str()) == 0) shared_.group.reset();
}

absl::StatusOr<std::unique_ptr<UnpackWorker>> UnpackProcesses::Start(UnpackRole role,
                                                                     const UnpackLimits& limits,
                                                                     const std::vector<int>& fds) {
  CRISP_ASSIGN_OR_RETURN(const Shared* const shared, Enter());
  std::vector<int> all = fds;
  all[kMountNamespace] = shared->mounts.get();
  all.push_back(program_.get());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  all[2] = 2;
#endif
  linux::Command command = {.path = absl::StrCat("/proc/self/fd/", all.size() - 1),
                            .args = {"crisp-unpack", NameOf(role)},
                            .env = Environment(),
                            .cgroup = shared->group.get()};
  if (role == UnpackRole::kUntar) {
    command.args.push_back(absl::StrCat(limits.min_free_bytes));
    command.args.push_back(absl::StrCat(limits.min_free_inodes));
  }
  absl::StatusOr<linux::Child> child = linux::Spawn(command, all);
  if (child.ok()) return std::make_unique<Process>(*this, role, *std::move(child));
  Leave();
  // EAGAIN: not that the registry is unavailable, as this code means in a pull.
  if (absl::IsUnavailable(child.status()))
    return absl::ResourceExhaustedError(child.status().message());
  return child.status();
}

absl::StatusOr<base::UniqueFd> UnpackProcesses::OpenLayer(const std::string& directory) {
  return linux::OpenDetachedTree(directory, /*read_only=*/false);
}

absl::StatusOr<base::UniqueFd> UnpackProcesses::OpenLower(const std::string& base,
                                                          const std::vector<std::string>& names) {
  // An overlay needs two layers.
  if (names.size() > 1) return linux::OpenOverlay(base, names);
  return linux::OpenDetachedTree(base::JoinPath(base, names[0]), /*read_only=*/true);
}

}  // namespace crisp::snapshot
