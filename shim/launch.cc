#include "shim/launch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>

#include "base/clock.h"

namespace crisp::shim {
namespace {

bool MakePipe(base::UniqueFd& read_end, base::UniqueFd& write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return false;
  read_end.reset(fds[0]);
  write_end.reset(fds[1]);
  return true;
}

}  // namespace

bool Launch::Prepare(EventLoop& loop, LaunchOwner& owner, BuilderInput& input, Options options) {
  loop_ = &loop;
  owner_ = &owner;
  void* page =
      mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  report_ = new (page) Report();
  if (!MakePipe(done_, child_done_)) return false;
  input.report = report_;
  input.done = child_done_.get();
  if (options.barrier) {
    if (!MakePipe(child_barrier_, barrier_)) return false;
    input.barrier = child_barrier_.get();
  }
  if (options.terminal) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return false;
    console_.reset(fds[0]);
    child_console_.reset(fds[1]);
    input.console_socket = fds[1];
  }
  return fcntl(done_.get(), F_SETFL, O_NONBLOCK) == 0;
}

template <typename Build>
bool Launch::Fork(const BuilderInput& input, Build build) {
  const pid_t shim = getpid();
  builder_ = fork();
  if (builder_ == 0) {
    // Without the shim nobody may make a container any more: it would run unseen.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != shim) _exit(1);
    build(input);
  }
  child_done_.reset();
  child_barrier_.reset();
  child_console_.reset();
  if (builder_ < 0) builder_ = 0;
  return builder_ > 0 && loop_->Add(done_.get(), EPOLLIN, *this);
}

bool Launch::StartContainer(EventLoop& loop, LaunchOwner& owner, BuilderInput input,
                            const ::shim::v1::Start& start, Options options) {
  return Prepare(loop, owner, input, options) &&
         Fork(input,
              [&start](const BuilderInput& final_input) { BuildContainer(final_input, start); });
}

bool Launch::StartExec(EventLoop& loop, LaunchOwner& owner, BuilderInput input,
                       const ::shim::v1::Exec& exec, Options options) {
  return Prepare(loop, owner, input, options) &&
         Fork(input, [&exec](const BuilderInput& final_input) { BuildExec(final_input, exec); });
}

bool Launch::ok() const {
  // Nothing is reported after execve; who was killed before it has not reached the last step.
  return report_ != nullptr && !pending() && !report_->failed && report_->child > 0 &&
         report_->step() == ipc::Step::kExec;
}

void Launch::Release() {
  const char go = 'g';
  (void)!write(barrier_.get(), &go, 1);  // a child that is gone is noticed elsewhere
  barrier_.reset();
}

base::UniqueFd Launch::TakeMaster() {
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

void Launch::Close() {
  if (done_.valid()) loop_->Remove(done_.get());
  done_.reset();
  barrier_.reset();
  console_.reset();
  if (report_ != nullptr) munmap(report_, sizeof(Report));
  report_ = nullptr;
}

void Launch::OnEvent(uint32_t) {
  char byte;
  const ssize_t n = read(done_.get(), &byte, 1);
  if (n == 1) {
    owner_->OnCreated();
  } else if (n == 0) {
    finished_ns_ = base::MonotonicNanos();
    loop_->Remove(done_.get());
    done_.reset();
    owner_->OnLaunched();
  }
}

}  // namespace crisp::shim
