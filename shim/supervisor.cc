#include "shim/supervisor.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/paths.h"
#include "linux/process_ref.h"
#include "shim/open_files.h"

namespace crisp::shim {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// How long killed processes that do not die (uninterruptible sleep) may delay the exit record.
constexpr int64_t kKillTimeoutNs = 10 * kSecond;
// How long attached clients may take to read the last output. crispd waits longer than that before
// it kills a shim (kShimEndTime in src/runtime/container_stop.cc).
constexpr int64_t kLastOutputNs = 2 * kSecond;

::shim::v1::Reply ExitedReply(const ipc::ExitRecord& record, bool on_disk) {
  ::shim::v1::Reply reply;
  reply.mutable_exited()->set_exit_code(record.exit_code);
  reply.mutable_exited()->set_oom_killed(record.oom_killed);
  reply.mutable_exited()->set_finished_at_ns(record.finished_at_ns);
  reply.mutable_exited()->set_on_disk(on_disk);
  return reply;
}

// OOM kills are counted in the hierarchy that has the memory controller, if there is one.
absl::StatusOr<cgroup::JoinFds> OpenGroup(cgroup::Directories directories) {
  std::string candidate = absl::StrCat(directories.v2, "/memory.events");
  for (size_t i = 0; directories.oom_file.empty() && i <= directories.v1.size(); ++i) {
    if (access(candidate.c_str(), R_OK) == 0) directories.oom_file = candidate;
    if (i < directories.v1.size())
      candidate = absl::StrCat(directories.v1[i], "/memory.oom_control");
  }
  return cgroup::OpenJoin(directories);
}

bool WasOomKilled(const cgroup::JoinFds& cgroup, uint64_t kills_before) {
  return cgroup.oom.valid() && cgroup::OomKills(cgroup.oom.get()).value_or(0) > kills_before;
}

void AnswerAbandoned(Connection& starter, const LaunchFailure& failure, int init_status,
                     bool oom_killed) {
  if (!failure.killed) return starter.Fail(failure.step, failure.error, failure.detail);
  std::string how = "killed";
  if (oom_killed) {
    how = "killed for lack of memory (is the memory limit too low?)";
  } else if (WIFSIGNALED(init_status)) {
    how = absl::StrCat("killed by signal ", WTERMSIG(init_status));
  }
  starter.Fail(ipc::Step::kLaunch, 0, absl::StrCat(how, " in step ", ipc::StepName(failure.step)),
               oom_killed);
}

}  // namespace

bool Supervisor::Prepare(const char* bundle, std::vector<base::UniqueFd> sockets) {
  exec_host_.container = {.loop = &loop_, .bundle = bundle, .cgroup = &cgroup_};
  bundle_fd_.reset(open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC));
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  child_signal_.supervisor = group_events_.supervisor = this;
  child_signal_.fd.reset(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  return bundle_fd_.valid() && child_signal_.fd.valid() && loop_.Open() &&
         connections_.Open(loop_, *this, std::move(sockets), kMaxConnections) &&
         loop_.Add(child_signal_.fd.get(), EPOLLIN, child_signal_);
}

void Supervisor::Run(const char* bundle, std::vector<base::UniqueFd> sockets, Runtime& runtime,
                     int keyring_error) {
  keyring_error_ = keyring_error;
  exec_host_.runtime = &runtime;
  if (!Prepare(bundle, std::move(sockets))) return;
  while (state_ != State::kEnded) {
    // Events of a busy container would put off the end of an exec for ever.
    const bool event = loop_.RunOnce(TimeoutMs());
    if (!event || execs_.deadline_ns() != INT64_MAX) OnTime();
    if (reap_) Reap();
    connections_.FreeClosed();
    if (execs_.FreeEnded()) trim_ = true;
    if (trim_) (void)malloc_trim(0);
    trim_ = false;
  }
}

int Supervisor::TimeoutMs() const {
  int64_t deadline = deadline_ns_ == 0 ? INT64_MAX : deadline_ns_;
  for (const Output& output : outputs_) deadline = std::min(deadline, output.deadline_ns());
  deadline = std::min({deadline, execs_.deadline_ns(), connections_.deadline_ns()});
  if (deadline == INT64_MAX) return -1;
  const int64_t left = (deadline - base::MonotonicNanos() + 999'999) / 1'000'000;
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

void Supervisor::OnTime() {
  const int64_t now = base::MonotonicNanos();
  for (Output& output : outputs_) {
    if (output.deadline_ns() <= now) output.OnTime(now);
  }
  execs_.OnTime(now);
  if (deadline_ns_ == 0 || deadline_ns_ > now) return;
  deadline_ns_ = 0;
  if (state_ == State::kAbandoning) state_ = State::kEnded;
  if (state_ == State::kEnding) End();
}

// --- connections

void Supervisor::OnRequest(Connection& connection, const ::shim::v1::Request& request,
                           std::vector<base::UniqueFd> fds) {
  if (request.has_start()) {
    if (state_ != State::kIdle)
      return connection.Fail(ipc::Step::kStart, EALREADY, "the container was started already");
    return Start(connection, request.start());
  }
  if (state_ != State::kRunning)
    return connection.Fail(ipc::Step::kContainer, ESRCH, "is not running");
  if (request.has_exec()) return execs_.Start(exec_host_, connection, request.exec(), fds);
  if (request.has_attach()) return Attach(connection, request.attach(), std::move(fds));
  if (request.has_resize_tty()) return ResizeTty(connection, request.resize_tty());
  if (request.has_reopen_log()) return ReopenLog(connection);
  connection.Fail(ipc::Step::kRequest, ENOSYS, "unknown operation");
}

void Supervisor::OnControl(Connection& connection, const ::shim::v1::Control& control) {
  if (control.has_cgroup_made() && &connection == starter_) OnCgroupMade();
  if (control.has_release() && &connection == starter_) launch_->Release();
  if (control.has_kill_exec()) execs_.Kill(connection);
}

void Supervisor::OnHangup(Connection& connection) {
  if (&connection == starter_) {
    starter_ = nullptr;
    Abandon();
  }
  execs_.OnHangup(connection);
  for (Output& output : outputs_) output.Forget(&connection);
  if (state_ == State::kIdle && !connections_.AnyOpen()) state_ = State::kEnded;
}

// --- start

// Until then nothing of the container runs.
void Supervisor::OnCgroupMade() {
  if (state_ != State::kStarting || cgroup_.v2.valid()) return;
  base::Failpoint("shim: cgroup made");
  absl::StatusOr<cgroup::JoinFds> group = OpenGroup(std::exchange(directories_, {}));
  absl::StatusOr<base::UniqueFd> events =
      group.ok() ? cgroup::OpenEvents(group->v2.get()) : group.status();
  if (!events.ok()) {
    Connection& starter = *starter_;
    starter_ = nullptr;
    starter.Fail(ipc::Step::kCgroup, events.status());
    return Abandon();
  }
  cgroup_ = *std::move(group);
  group_events_.fd = *std::move(events);
  if (cgroup_.oom.valid()) oom_kills_before_ = cgroup::OomKills(cgroup_.oom.get()).value_or(0);
  launch_->CgroupMade();
}

bool Supervisor::OpenStdio(bool want_stdin, LaunchFds& input) {
  int fds[2];
  if (want_stdin) {
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    child_stdio_[0].reset(fds[0]);
    stdin_.reset(fds[1]);
  }
  for (int i = 0; i < 2; ++i) {
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    pipes_[i].reset(fds[0]);
    child_stdio_[i + 1].reset(fds[1]);
  }
  for (int i = 0; i < 3; ++i) input.stdio[i] = child_stdio_[i].get();
  return true;
}

void Supervisor::Start(Connection& connection, const ::shim::v1::Start& start) {
  base::Failpoint("shim: start asked");
  state_ = State::kEnded;  // in case anything below fails
  RaiseOpenFiles();        // not before: crispd sets the limit after it has started the shim
  if (keyring_error_ != 0)
    return connection.Fail(ipc::Step::kSession, keyring_error_, "session keyring");
  detached_ = start.detached();
  const absl::Status reserved = detached_ ? absl::OkStatus() : exit_file_.Reserve(bundle_fd_.get());
  if (!reserved.ok()) return connection.Fail(ipc::Step::kRecord, reserved);
  base::Failpoint("shim: exit record reserved");
  if (!detached_ && !log_.Open(start.log_path()))
    return connection.Fail(ipc::Step::kLog, errno, start.log_path());
  base::Failpoint("shim: log open");
  directories_ = {.v2 = start.cgroup_v2(),
                  .v1 = {start.cgroup_v1().begin(), start.cgroup_v1().end()},
                  .oom_file = ""};
  LaunchFds fds;
  if (!detached_ && !OpenStdio(start.stdin(), fds))
    return connection.Fail(ipc::Step::kStdio, errno, "");
  stdin_once_ = start.stdin_once();
  launch_ = exec_host_.runtime->StartContainer(exec_host_.container, *this, fds, start);
  if (launch_ == nullptr) return connection.Fail(ipc::Step::kFork, errno, "");
  base::Failpoint("shim: builder forked");
  for (base::UniqueFd& fd : child_stdio_) fd.reset();
  starter_ = &connection;
  state_ = State::kStarting;
}

void Supervisor::OnCreated() {
  if (starter_ == nullptr || !launch_->is_parked()) return;
  base::Failpoint("shim: child parked");
  ::shim::v1::Reply reply;
  reply.mutable_created()->set_pid(launch_->child());
  if (starter_->Send(reply)) return;
  starter_ = nullptr;
  Abandon();
}

void Supervisor::OnLaunched() {
  init_ = launch_->child();
  if (state_ == State::kStarting && launch_->ok()) return OnRunning();
  state_ == State::kAbandoning ? AdvanceAbandoning() : Abandon();
}

bool Supervisor::OpenOutputs() {
  base::UniqueFd master = launch_->TakeTerminal();
  if (master.valid()) {
    // Without an open end of its own the shim would read EIO, as at the end of the output, whenever
    // the container has closed the terminal for a moment.
    slave_.reset(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    stdin_.reset(fcntl(master.get(), F_DUPFD_CLOEXEC, 3));
    pipes_[0] = std::move(master);
    pipes_[1].reset();
  }
  for (int i = 0; i < 2; ++i) {
    const Stream stream = i == 0 ? Stream::kStdout : Stream::kStderr;
    if (pipes_[i].valid() &&
        !outputs_[i].Open(loop_, log_, copying_, stream, std::move(pipes_[i]), buffers_[i]))
      return false;
  }
  return true;
}

void Supervisor::OnRunning() {
  base::Failpoint("shim: program runs");
  ::shim::v1::Reply reply;
  ::shim::v1::Started& started = *reply.mutable_started();
  // Found even if init has ended already: it keeps its pid until the shim reaps it.
  const linux::ProcessRef init = linux::ProcessRef::Of(init_).value_or(linux::ProcessRef());
  const linux::ProcessRef shim = linux::ProcessRef::Of(getpid()).value_or(linux::ProcessRef());
  started.set_pid(init_);
  started.set_start_ticks(init.start_ticks);
  started.set_started_at_ns(base::WallNanos());
  started.set_shim_pid(getpid());
  started.set_shim_start_ticks(shim.start_ticks);
  launch_->AddPhases(started);
  const absl::Status written =
      OpenOutputs() ? WriteInit(bundle_fd_.get(), started) : base::Errno("stdio", "");
  if (!written.ok()) {
    starter_->Fail(ipc::Step::kRecord, written);
    starter_ = nullptr;
    return Abandon();
  }
  base::Failpoint("shim: init on record");
  if (!starter_->Send(reply)) {
    starter_ = nullptr;
    return Abandon();
  }
  starter_ = nullptr;
  launch_->Close();
  exec_host_.container.init = init;
  state_ = detached_ ? State::kEnded : State::kRunning;
  base::Failpoint("shim: start answered");
  trim_ = true;
}

void Supervisor::Abandon() {
  base::Failpoint("shim: start given up");
  state_ = State::kAbandoning;
  deadline_ns_ = base::MonotonicNanos() + kKillTimeoutNs;
  WatchGroup();
  AdvanceAbandoning();
}

// Everything the start has made is killed and reaped before crispd gets the answer.
void Supervisor::AdvanceAbandoning() {
  if (HasHelper()) {
    kill(launch_->helper(), SIGKILL);
    return;
  }
  // Only now: what the helper started in its last moment is killed too.
  (void)cgroup::KillGroup(cgroup_.v2.get());
  if (IsLaunching() || (init_ != 0 && !init_reaped_) || !group_events_.IsEmpty()) return;
  base::Failpoint("shim: nothing left of the start");
  (void)unlinkat(bundle_fd_.get(), base::kInitFile, 0);  // may have been written already
  state_ = State::kEnded;
  if (starter_ == nullptr) return;
  AnswerAbandoned(*starter_, launch_->failure(), init_status_,
                  WasOomKilled(cgroup_, oom_kills_before_));
}

void Supervisor::WatchGroup() {
  (void)group_events_.IsEmpty();  // read once, so that the next event is a change
  if (group_events_.watched) return;
  group_events_.watched = loop_.Add(group_events_.fd.get(), EPOLLPRI, group_events_);
}

// --- operations of a running container

void Supervisor::Attach(Connection& connection, const ::shim::v1::Attach& attach,
                        std::vector<base::UniqueFd> fds) {
  const bool wanted[2] = {attach.stdout(), attach.stderr()};
  size_t next = 0;
  for (int i = 0; i < 2; ++i) {
    if (!wanted[i]) continue;
    if (next == fds.size())
      return connection.Fail(ipc::Step::kAttach, EINVAL, "a descriptor is missing");
    base::UniqueFd pipe = std::move(fds[next++]);
    // A terminal has no stderr, and a stream may have ended: the client reads end of file at once.
    if (outputs_[i].is_open() && !outputs_[i].Listen(std::move(pipe), &connection)) {
      for (Output& output : outputs_) output.Forget(&connection);
      return connection.Fail(ipc::Step::kAttach, EAGAIN, "too many listeners");
    }
  }
  ::shim::v1::Reply reply;
  reply.mutable_attached();
  const bool with_stdin = attach.stdin() && stdin_.valid();
  if (!connection.Send(reply, with_stdin ? stdin_.get() : -1)) return OnHangup(connection);
  // The client now holds the only write end: the container reads end of file when the client closes
  // it or goes away. A terminal's master stays open here: closing it would hang up on the
  // container.
  if (with_stdin && stdin_once_ && !slave_.valid()) stdin_.reset();
}

void Supervisor::ResizeTty(Connection& connection, const ::shim::v1::ResizeTty& size) {
  if (!slave_.valid())
    return connection.Fail(ipc::Step::kResize, ENOTTY, "the container has no terminal");
  const winsize window = {.ws_row = static_cast<uint16_t>(std::min(size.height(), 65'535u)),
                          .ws_col = static_cast<uint16_t>(std::min(size.width(), 65'535u)),
                          .ws_xpixel = 0,
                          .ws_ypixel = 0};
  if (ioctl(outputs_[0].fd(), TIOCSWINSZ, &window) != 0)
    return connection.Fail(ipc::Step::kResize, errno, "");
  connection.Done();
}

void Supervisor::ReopenLog(Connection& connection) {
  if (!log_.Reopen()) return connection.Fail(ipc::Step::kLog, errno, "reopen");
  connection.Done();
}

// --- the end

void Supervisor::ChildSignal::OnEvent(uint32_t) {
  signalfd_siginfo info;
  (void)!read(fd.get(), &info, sizeof(info));  // one signal may be for many children
  supervisor->reap_ = true;
}

// While a launch is pending only known pids are reaped: the child of that launch must keep its pid
// until OnLaunched has read it.
void Supervisor::Reap() {
  int status;
  if (!IsLaunching() && !execs_.AnyLaunching()) {
    reap_ = false;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) OnExit(pid, status);
    return;
  }
  const auto reap = [&](pid_t pid) {
    if (pid == 0 || waitpid(pid, &status, WNOHANG) != pid) return false;
    OnExit(pid, status);
    return true;
  };
  // Again after each: the end of a helper can make another pid known, which has ended as well.
  for (bool again = true; again;) {
    again = HasHelper() && reap(launch_->helper());
    if (!IsLaunching() && !init_reaped_) again |= reap(init_);
    for (const pid_t pid : execs_.Children()) again |= reap(pid);
  }
}

void Supervisor::OnExit(pid_t pid, int status) {
  if (HasHelper() && pid == launch_->helper()) {
    launch_->OnHelperExit(status);
    if (state_ == State::kAbandoning) AdvanceAbandoning();
    return;
  }
  if (pid == init_ && !init_reaped_) return OnInitExit(status);
  (void)execs_.OnExit(pid, status);
  if (state_ == State::kEnding) AdvanceEnding();
}

void Supervisor::OnInitExit(int status) {
  init_reaped_ = true;
  init_status_ = status;
  if (state_ == State::kAbandoning) return AdvanceAbandoning();
  base::Failpoint("shim: init reaped");
  finished_at_ns_ = base::WallNanos();
  state_ = State::kEnding;
  deadline_ns_ = base::MonotonicNanos() + kKillTimeoutNs;
  // With a PID namespace of its own the container ends with its init. In a shared one its other
  // processes still run.
  (void)cgroup::KillGroup(cgroup_.v2.get());
  base::Failpoint("shim: rest killed");
  execs_.KillAll();
  WatchGroup();
  AdvanceEnding();
}

void Supervisor::AdvanceEnding() {
  if (!execs_.AnyAlive() && group_events_.IsEmpty()) End();
}

bool Supervisor::GroupEvents::IsEmpty() const {
  const absl::StatusOr<bool> populated = cgroup::Populated(fd.get());
  return !populated.ok() || !*populated;  // the file cannot be read when the group is gone
}

void Supervisor::GroupEvents::OnEvent(uint32_t) {
  (void)IsEmpty();  // reading the file acknowledges the event
  if (supervisor->state_ == State::kEnding) supervisor->AdvanceEnding();
  if (supervisor->state_ == State::kAbandoning) supervisor->AdvanceAbandoning();
}

void Supervisor::End() {
  base::Failpoint("shim: nothing runs");
  state_ = State::kEnded;
  slave_.reset();
  const int64_t deadline_ns = base::MonotonicNanos() + kLastOutputNs;
  for (Output& output : outputs_) output.Finish(deadline_ns);
  base::Failpoint("shim: log written");
  ipc::ExitRecord record = {.finished_at_ns = finished_at_ns_};
  record.exit_code =
      WIFSIGNALED(init_status_) ? 128 + WTERMSIG(init_status_) : WEXITSTATUS(init_status_);
  record.oom_killed = WasOomKilled(cgroup_, oom_kills_before_);
  // First the file: a crispd that knows nothing of the message takes it for the end of the shim. If
  // the file cannot be written, a crispd that runs now still learns the exit code.
  const bool on_disk = exit_file_.Write(bundle_fd_.get(), record).ok();
  base::Failpoint("shim: exit on record");
  // Also to a crispd that was started while the container ended and was not accepted yet.
  connections_.Tell(ExitedReply(record, on_disk));
  base::Failpoint("shim: exit told");
}

}  // namespace crisp::shim
