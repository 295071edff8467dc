#include "shim/native_runtime.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>

#include "base/clock.h"
#include "linux/syscalls.h"
#include "shim/builder.h"
#include "shim/report.h"

namespace crisp::shim {
namespace {

bool MakePipe(base::UniqueFd& read_end, base::UniqueFd& write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return false;
  read_end.reset(fds[0]);
  write_end.reset(fds[1]);
  return true;
}

BuilderInput InputOf(const RuntimeHost& host, const LaunchFds& fds) {
  BuilderInput input = {.bundle = host.bundle};
  std::copy(std::begin(fds.stdio), std::end(fds.stdio), std::begin(input.stdio));
  return input;
}

class NativeLaunch final : public Launch, public EventSource {
 public:
  NativeLaunch(EventLoop& loop, LaunchOwner& owner) : loop_(loop), owner_(owner) {}
  ~NativeLaunch() override { Close(); }

  // Complete `input`. False and errno on failure, as Start().
  bool Prepare(BuilderInput& input, bool terminal);
  bool PrepareWaits(BuilderInput& input, bool park);
  // `build` runs in the builder and does not return. `group`: see Fork() below.
  template <typename Build>
  bool Start(int group, Build build);

  bool pending() const override { return done_.valid() || helper() != 0; }
  pid_t child() const override { return report_ == nullptr ? 0 : report_->child; }
  bool ok() const override;
  LaunchFailure failure() const override;
  void AddPhases(::shim::v1::Started& started) const override;
  void CgroupMade() override { LetGo(gate_); }
  bool is_parked() const override { return barrier_.valid(); }
  void Release() override { LetGo(barrier_); }
  base::UniqueFd TakeTerminal() override;
  void Close() override;
  // The builder, or the helper that it has left (child/inside.cc).
  pid_t helper() const override;
  void OnHelperExit(int status) override;

  void OnEvent(uint32_t events) override;  // of done_

 private:
  static void LetGo(base::UniqueFd& pipe);
  void FinishIfOver();

  EventLoop& loop_;
  LaunchOwner& owner_;
  Report* report_ = nullptr;
  pid_t builder_ = 0;
  bool reaped_ = false;  // the builder's helper
  bool helper_killed_ = false;
  int64_t finished_ns_ = 0;
  base::UniqueFd done_;     // read end
  base::UniqueFd gate_;     // write end
  base::UniqueFd barrier_;  // write end
  base::UniqueFd console_;
  // The builder's ends, until it is forked.
  base::UniqueFd child_done_;
  base::UniqueFd child_gate_;
  base::UniqueFd child_barrier_;
  base::UniqueFd child_console_;
};

bool NativeLaunch::Prepare(BuilderInput& input, bool terminal) {
  void* page =
      mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  report_ = new (page) Report();
  if (!MakePipe(done_, child_done_)) return false;
  input.report = report_;
  input.done = child_done_.get();
  if (terminal) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return false;
    console_.reset(fds[0]);
    child_console_.reset(fds[1]);
    input.console_socket = fds[1];
  }
  return fcntl(done_.get(), F_SETFL, O_NONBLOCK) == 0;
}

bool NativeLaunch::PrepareWaits(BuilderInput& input, bool park) {
  if (!MakePipe(child_gate_, gate_)) return false;
  input.gate = child_gate_.get();
  if (!park) return true;
  if (!MakePipe(child_barrier_, barrier_)) return false;
  input.barrier = child_barrier_.get();
  return true;
}

// The builder of an exec is in the exec's group from the beginning, as it goes on as its helper.
// glibc does not know of that clone, which does not matter in a program with one thread.
pid_t Fork(int group) {
  if (group < 0) return fork();
  clone_args args = {};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<uint64_t>(group);
  return linux::Clone3(args);
}

template <typename Build>
bool NativeLaunch::Start(int group, Build build) {
  // Watched before there is a builder: one that was forked cannot be given up before it is reaped.
  if (!loop_.Add(done_.get(), EPOLLIN, *this)) return false;
  const pid_t shim = getpid();
  builder_ = Fork(group);
  if (builder_ == 0) {
    // A builder that outlives the shim would make a container that no shim watches.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != shim) _exit(1);
    build();
  }
  // No other builder gets this launch's report: what it clones could be made to write there.
  madvise(report_, sizeof(Report), MADV_DONTFORK);
  child_done_.reset();
  child_gate_.reset();
  child_barrier_.reset();
  child_console_.reset();
  if (builder_ > 0) return true;
  builder_ = 0;
  return false;
}

bool NativeLaunch::ok() const {
  // After execve nothing is reported any more; a child that was killed before it has not reached
  // the last step. A helper that was killed has not seen whether its process executed the program.
  return report_ != nullptr && !pending() && !report_->failed && !helper_killed_ &&
         report_->child > 0 && report_->step() == ipc::Step::kExec;
}

LaunchFailure NativeLaunch::failure() const {
  return {.step = report_->step(),
          .killed = !report_->failed,
          .error = report_->error,
          .detail = report_->detail};
}

void NativeLaunch::AddPhases(::shim::v1::Started& started) const {
  for (size_t i = 0; i < report_->count; ++i) {
    const bool is_last = i + 1 == report_->count;
    const int64_t end_ns = is_last ? finished_ns_ : report_->marks[i + 1].begin_ns;
    ::shim::v1::Phase* phase = started.add_phases();
    phase->set_name(ipc::StepName(report_->marks[i].step));
    phase->set_duration_ns(end_ns - report_->marks[i].begin_ns);
  }
}

void NativeLaunch::LetGo(base::UniqueFd& pipe) {
  const char go = 'g';
  (void)!write(pipe.get(), &go, 1);  // that its reader is gone is seen on done_
  pipe.reset();
}

base::UniqueFd NativeLaunch::TakeTerminal() {
  if (!console_.valid()) return base::UniqueFd();
  char byte;
  iovec io = {.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t n = recvmsg(console_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  console_.reset();
  const cmsghdr* part = n == 1 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (part == nullptr || part->cmsg_type != SCM_RIGHTS) return base::UniqueFd();
  int fd;
  memcpy(&fd, CMSG_DATA(part), sizeof(fd));
  return base::UniqueFd(fd);
}

void NativeLaunch::Close() {
  if (done_.valid()) loop_.Remove(done_.get());
  done_.reset();
  gate_.reset();
  barrier_.reset();
  console_.reset();
  if (report_ != nullptr) munmap(report_, sizeof(Report));
  report_ = nullptr;
}

void NativeLaunch::OnEvent(uint32_t) {
  char byte;
  const ssize_t n = read(done_.get(), &byte, 1);
  if (n == 1) {
    owner_.OnCreated();
  } else if (n == 0) {
    loop_.Remove(done_.get());
    done_.reset();
    FinishIfOver();
  }
}

pid_t NativeLaunch::helper() const {
  if (builder_ != 0) return builder_;
  return report_ == nullptr || reaped_ ? 0 : report_->helper;
}

void NativeLaunch::OnHelperExit(int status) {
  if (builder_ == 0 || (report_ != nullptr && report_->builder_is_helper)) {
    reaped_ = true;
    helper_killed_ = WIFSIGNALED(status);
  }
  builder_ = 0;
  FinishIfOver();
}

void NativeLaunch::FinishIfOver() {
  if (pending()) return;
  finished_ns_ = base::MonotonicNanos();
  owner_.OnLaunched();
}

// Destroys a launch that could not begin; null, with errno as it was.
std::unique_ptr<Launch> GiveUp(std::unique_ptr<NativeLaunch> launch) {
  const int error = errno;
  launch.reset();
  errno = error;
  return nullptr;
}

}  // namespace

std::unique_ptr<Launch> NativeRuntime::StartContainer(const RuntimeHost& host, LaunchOwner& owner,
                                                      const LaunchFds& fds,
                                                      const ::shim::v1::Start& start) {
  auto launch = std::make_unique<NativeLaunch>(*host.loop, owner);
  BuilderInput input = InputOf(host, fds);
  // Only the builder reads the spec: it is given both pipes and a socket for a terminal.
  const bool ok = launch->Prepare(input, /*terminal=*/true) &&
                  launch->PrepareWaits(input, start.park()) &&
                  launch->Start(-1, [&] { BuildContainer(input, start); });
  return ok ? std::move(launch) : GiveUp(std::move(launch));
}

std::unique_ptr<Launch> NativeRuntime::StartExec(const RuntimeHost& host, LaunchOwner& owner,
                                                 const LaunchFds& fds,
                                                 const ::shim::v1::Exec& exec) {
  auto launch = std::make_unique<NativeLaunch>(*host.loop, owner);
  BuilderInput input = InputOf(host, fds);
  input.cgroup = host.cgroup;
  input.clone_into = fds.group;
  input.args_file = fds.args_file;
  input.init = host.init;
  const bool ok = launch->Prepare(input, exec.tty()) &&
                  launch->Start(fds.group, [&] { BuildExec(input, exec); });
  return ok ? std::move(launch) : GiveUp(std::move(launch));
}

}  // namespace crisp::shim
