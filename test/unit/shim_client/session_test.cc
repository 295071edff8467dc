// crispd's side of each operation, against a shim that answers as the test wants, right or wrong.
#include "shim_client/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "base/file.h"
#include "ipc/step.h"
#include "temp_dir.h"

namespace crisp::shim_client {
namespace {

namespace shim = ::shim::v1;

base::Deadline Soon() { return base::Deadline::In(absl::Seconds(5)); }

// Serves one connection of <bundle>/shim.sock with `script`.
class FakeShim {
 public:
  explicit FakeShim(std::function<void(const ipc::Channel&)> script) {
    absl::StatusOr<base::UniqueFd> listener = ipc::Listen(dir_.path + "/shim.sock");
    REQUIRE(listener.ok());
    listener_ = *std::move(listener);
    thread_ = std::thread([this, script = std::move(script)] {
      const ipc::Channel channel(
          base::UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
      if (channel.valid()) script(channel);
    });
  }
  ~FakeShim() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  const std::string& bundle() const { return dir_.path; }

 private:
  TempDir dir_;
  base::UniqueFd listener_;
  std::thread thread_;
};

shim::Request Next(const ipc::Channel& channel, std::vector<base::UniqueFd>* fds = nullptr) {
  return channel.ReceiveMessage<shim::Request>(fds, Soon()).value_or(shim::Request());
}

void Send(const ipc::Channel& channel, const std::function<void(shim::Reply&)>& fill,
          const std::vector<int>& fds = {}) {
  shim::Reply reply;
  fill(reply);
  (void)channel.Send(reply, fds);  // fails when the test has closed the connection
}

void SendDone(const ipc::Channel& channel) {
  Send(channel, [](shim::Reply& reply) { reply.mutable_done(); });
}

std::function<void(shim::Reply&)> Failure(const std::string& step, int error,
                                          const std::string& detail) {
  return [=](shim::Reply& reply) {
    reply.mutable_failed()->set_step(step);
    reply.mutable_failed()->set_error(error);
    reply.mutable_failed()->set_detail(detail);
  };
}

// The two ends of a launched shim's operation channel.
struct Pair {
  Pair() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    ours = ipc::Channel(base::UniqueFd(fds[0]));
    theirs = ipc::Channel(base::UniqueFd(fds[1]));
  }
  ipc::Channel ours;
  ipc::Channel theirs;
};

// Start, and what the shim is told before it may clone.
PendingStart Asked(Pair& pair, bool park = false) {
  shim::Start start;
  start.set_park(park);
  absl::StatusOr<PendingStart> pending = PendingStart::Ask(std::move(pair.ours), start);
  REQUIRE(pending.ok());
  return *std::move(pending);
}

bool IsCgroupMade(const ipc::Channel& channel) {
  const auto control = channel.ReceiveMessage<shim::Control>(nullptr, Soon());
  return control.ok() && control->has_cgroup_made();
}

TEST_CASE("a call that meets the end of the container says so") {
  const FakeShim fake([](const ipc::Channel& channel) {
    (void)Next(channel);
    Send(channel, [](shim::Reply& reply) { reply.mutable_exited()->set_exit_code(7); });
  });
  CHECK(ReopenLog(fake.bundle(), Soon()) == absl::UnavailableError("the container has ended"));
}

TEST_CASE("a step without room is RESOURCE_EXHAUSTED, and its detail is not changed") {
  Pair pair;
  Send(pair.theirs, [](shim::Reply& reply) {
    reply.mutable_failed()->set_step("record");
    reply.mutable_failed()->set_exhausted(true);
    reply.mutable_failed()->set_detail("reserve exit.json: ENOSPC");
  });
  CHECK(Asked(pair).Run(Soon()).status() ==
        absl::ResourceExhaustedError("record: reserve exit.json: ENOSPC"));
}

TEST_CASE("a start that ran out of memory says so, in text and as a fact") {
  Pair pair;
  Send(pair.theirs, [](shim::Reply& reply) {
    reply.mutable_failed()->set_step("launch");
    reply.mutable_failed()->set_detail("killed for lack of memory");
    reply.mutable_failed()->set_oom_killed(true);
  });
  const absl::Status status = Asked(pair).Run(Soon()).status();
  CHECK(absl::IsResourceExhausted(status));
  CHECK(status.message() == "launch: killed for lack of memory");
  CHECK(IsOomKilled(status));
  CHECK_FALSE(IsOomKilled(absl::ResourceExhaustedError("launch")));
}

TEST_CASE("arguments that do not fit into a packet travel in a file") {
  for (const size_t size : {size_t{1000}, size_t{5'000'000}}) {
    CAPTURE(size);
    const std::vector<std::string> args = {"echo", "", std::string(size, 'a')};
    shim::Exec asked, found;
    size_t descriptors = 0;
    const FakeShim fake([&](const ipc::Channel& channel) {
      std::vector<base::UniqueFd> fds;
      asked = Next(channel, &fds).exec();
      descriptors = fds.size();
      if (!asked.args_in_file()) found = asked;
      if (asked.args_in_file() && !fds.empty())
        (void)found.ParseFromString(base::ReadAll(fds.back().get(), 6'000'000).value_or(""));
      Send(channel, [](shim::Reply& reply) { reply.mutable_exec_started()->set_pid(7); });
    });
    CHECK(ExecSession::Open(fake.bundle(), args, false, {0, 1, 2}, Soon()).ok());
    CHECK(std::vector<std::string>(found.args().begin(), found.args().end()) == args);
    CHECK(descriptors == (size < 100'000 ? size_t{3} : size_t{4}));
    CHECK(asked.args().empty() == asked.args_in_file());
  }
}

TEST_CASE("a start that is not parked is answered once the container runs") {
  Pair pair;
  bool parked = true;
  bool made_late = false;
  std::atomic<bool> made = false;
  std::thread peer([&] {
    parked = Next(pair.theirs).start().park();
    made_late = IsCgroupMade(pair.theirs) && made;
    Send(pair.theirs, [](shim::Reply& reply) { reply.mutable_started()->set_pid(77); });
  });
  PendingStart pending = Asked(pair);
  made = true;
  const auto started = pending.Run(Soon());
  peer.join();
  CHECK_FALSE(parked);
  CHECK(made_late);
  REQUIRE(started.ok());
  CHECK(started->pid() == 77);
}

TEST_CASE("why a start has failed is known also when the shim has gone before it is told") {
  Pair pair;
  PendingStart pending = Asked(pair);
  Next(pair.theirs);
  Send(pair.theirs, Failure("rootfs", ENOENT, "/layer"));
  pair.theirs.Close();
  CHECK(pending.Run(Soon()).status() ==
        absl::InternalError("rootfs: /layer: no such file or directory (ENOENT)"));
}

TEST_CASE("a parked start runs only after it is released") {
  Pair pair;
  std::atomic<bool> acted = false;
  bool released_late = false;
  std::thread peer([&] {
    if (!Next(pair.theirs).start().park() || !IsCgroupMade(pair.theirs)) return;
    Send(pair.theirs, [](shim::Reply& reply) { reply.mutable_created()->set_pid(77); });
    const auto control = pair.theirs.ReceiveMessage<shim::Control>(nullptr, Soon());
    released_late = control.ok() && control->has_release() && acted;
    Send(pair.theirs, [](shim::Reply& reply) { reply.mutable_started()->set_pid(77); });
  });
  auto parked = Asked(pair, /*park=*/true).Park(Soon());
  acted = true;
  const auto started = parked.ok() ? parked->Release(Soon()) : parked.status();
  peer.join();
  REQUIRE(started.ok());
  CHECK(parked->pid() == 77);
  CHECK(started->pid() == 77);
  CHECK(released_late);
}

TEST_CASE("dropping a parked start closes the channel without releasing it") {
  Pair pair;
  absl::Status after;
  std::thread peer([&] {
    Next(pair.theirs);
    if (!IsCgroupMade(pair.theirs)) return;
    Send(pair.theirs, [](shim::Reply& reply) { reply.mutable_created()->set_pid(77); });
    after = pair.theirs.Receive(Soon()).status();
  });
  absl::Status created = Asked(pair, /*park=*/true).Park(Soon()).status();
  peer.join();
  CHECK(created.ok());
  CHECK(absl::IsUnavailable(after));
}

TEST_CASE("a start that fails before the process exists is an error of Park") {
  Pair pair;
  std::thread peer([&] {
    Next(pair.theirs);
    Send(pair.theirs, Failure("rootfs", ENOENT, "/layer"));
  });
  const auto parked = Asked(pair, /*park=*/true).Park(Soon());
  peer.join();
  CHECK(parked.status() ==
        absl::InternalError("rootfs: /layer: no such file or directory (ENOENT)"));
}

TEST_CASE("a step an older shim names becomes an error of the kind of that step") {
  struct Case {
    const char* step;
    int error;
    const char* detail;
    absl::StatusCode code;
    const char* message;
  };
  for (const Case& one : std::vector<Case>{
           {"mount entries", ENOENT, "/data", absl::StatusCode::kInternal,
            "mount entries: /data: no such file or directory (ENOENT)"},
           {"exec", ENOENT, "nope", absl::StatusCode::kInvalidArgument,
            "exec: nope: no such file or directory (ENOENT)"},
           {"working directory", ENOTDIR, "", absl::StatusCode::kInvalidArgument,
            "working directory: not a directory (ENOTDIR)"},
           {"bundle", 0, "config.json: not JSON", absl::StatusCode::kInternal,
            "bundle: config.json: not JSON"},
           {"spec", 0, "bad member", absl::StatusCode::kInvalidArgument, "spec: bad member"},
           {"sysctls", EINVAL, "net/ipv4/ip_forward", absl::StatusCode::kInvalidArgument,
            "sysctls: net/ipv4/ip_forward: invalid argument (EINVAL)"},
           {"clone", EAGAIN, "", absl::StatusCode::kResourceExhausted,
            "clone: resource temporarily unavailable (EAGAIN)"},
           {"exec", ENOMEM, "x", absl::StatusCode::kResourceExhausted,
            "exec: x: cannot allocate memory (ENOMEM)"},
           {"rootfs", ENOSPC, "", absl::StatusCode::kResourceExhausted,
            "rootfs: no space left on device (ENOSPC)"},
           {"log", EDQUOT, "", absl::StatusCode::kResourceExhausted,
            "log: disk quota exceeded (EDQUOT)"},
           {"odd", 9999, "", absl::StatusCode::kInternal, "odd: errno 9999"}}) {
    INFO(one.message);
    const FakeShim shim([&](const ipc::Channel& channel) {
      Next(channel);
      Send(channel, Failure(one.step, one.error, one.detail));
    });
    const auto session = ExecSession::Open(shim.bundle(), {"x"}, true, {}, Soon());
    CHECK(session.status() == absl::Status(one.code, one.message));
  }
}

TEST_CASE("a step's number decides what kind of error it is, its name is what users read") {
  const auto failure = [](uint32_t number) {
    return [number](shim::Reply& reply) {
      reply.mutable_failed()->set_step("renamed by a newer shim");
      reply.mutable_failed()->set_step_number(number);
      reply.mutable_failed()->set_error(ENOENT);
    };
  };
  const auto status_of = [&](uint32_t number) {
    const FakeShim shim([&](const ipc::Channel& channel) {
      Next(channel);
      Send(channel, failure(number));
    });
    return ReopenLog(shim.bundle(), Soon());
  };
  constexpr char kMessage[] = "renamed by a newer shim: no such file or directory (ENOENT)";
  CHECK(status_of(static_cast<uint32_t>(ipc::Step::kExec)) == absl::InvalidArgumentError(kMessage));
  CHECK(status_of(static_cast<uint32_t>(ipc::Step::kMounts)) ==
        absl::InvalidArgumentError(kMessage));
  CHECK(status_of(static_cast<uint32_t>(ipc::Step::kPivotRoot)) == absl::InternalError(kMessage));
  CHECK(status_of(ipc::kLastStep + 1) == absl::InternalError(kMessage));
  CHECK(status_of(0) == absl::InternalError(kMessage));
}

TEST_CASE("an exec gets descriptors, can be killed and gives its exit code") {
  const FakeShim shim([&](const ipc::Channel& channel) {
    std::vector<base::UniqueFd> stdio;
    const shim::Request request = Next(channel, &stdio);
    if (stdio.size() != 3 || request.exec().tty() || request.exec().args_size() != 2) return;
    (void)base::WriteAll(stdio[1].get(), "hello");
    stdio.clear();
    Send(channel, [](shim::Reply& reply) { reply.mutable_exec_started()->set_pid(5); });
    const auto control = channel.ReceiveMessage<shim::Control>(nullptr, Soon());
    if (!control.ok() || !control->has_kill_exec()) return;
    Send(channel, [](shim::Reply& reply) { reply.mutable_exec_exited()->set_exit_code(137); });
  });
  int pipe_fds[2];
  REQUIRE(pipe2(pipe_fds, O_CLOEXEC) == 0);
  const base::UniqueFd out(pipe_fds[0]);
  base::UniqueFd write_end(pipe_fds[1]);
  auto session = ExecSession::Open(shim.bundle(), {"a", "b"}, false,
                                   {write_end.get(), write_end.get(), write_end.get()}, Soon());
  write_end.reset();
  REQUIRE(session.ok());
  CHECK(*base::ReadAll(out.get(), 100) == "hello");
  CHECK(absl::IsDeadlineExceeded(session->Wait(base::Deadline::In(absl::ZeroDuration())).status()));
  REQUIRE(session->Kill().ok());
  const absl::StatusOr<int> code = session->Wait(Soon());
  REQUIRE(code.ok());
  CHECK(*code == 137);
  CHECK(absl::IsUnavailable(session->Wait(Soon()).status()));
}

TEST_CASE("an exec that is dropped is killed, one that is left runs on until its deadline") {
  for (const bool leave : {false, true}) {
    CAPTURE(leave);
    shim::Exec asked;
    bool killed = false;
    const base::Deadline deadline = Soon();
    {
      const FakeShim shim([&](const ipc::Channel& channel) {
        asked = Next(channel).exec();
        Send(channel, [](shim::Reply& reply) { reply.mutable_exec_started()->set_pid(5); });
        const auto control = channel.ReceiveMessage<shim::Control>(nullptr, Soon());
        killed = control.ok() && control->has_kill_exec();
      });
      auto session = ExecSession::Open(shim.bundle(), {"a"}, false, {0, 1, 2}, deadline);
      REQUIRE(session.ok());
      if (leave) session->Leave();
    }
    CHECK(asked.survives());
    CHECK(asked.survives_until_ns() == deadline.monotonic_ns());
    CHECK(killed != leave);
  }
}

TEST_CASE("a kill never waits for a shim that is stopped") {
  const FakeShim shim([](const ipc::Channel& channel) {
    // Reads nothing until the test has given up the exec.
    pollfd end = {.fd = channel.fd(), .events = POLLRDHUP, .revents = 0};
    poll(&end, 1, 5000);
    CHECK(Next(channel).has_exec());
    const auto control = channel.ReceiveMessage<shim::Control>(nullptr, Soon());
    CHECK((control.ok() && control->has_kill_exec()));
  });
  const auto asked =
      PendingExec::Ask(shim.bundle(), {std::string(60'000, 'a')}, true, {}, Soon(), false);
  CHECK(asked.ok());
}

TEST_CASE("an exec with a terminal is answered with exactly one descriptor") {
  for (const int count : {0, 1, 2}) {
    INFO(count);
    const FakeShim shim([&](const ipc::Channel& channel) {
      if (!Next(channel).exec().tty()) return;
      Send(
          channel, [](shim::Reply& reply) { reply.mutable_exec_started()->set_pid(5); },
          std::vector<int>(static_cast<size_t>(count), 0));
    });
    auto session = ExecSession::Open(shim.bundle(), {"sh"}, true, {}, Soon());
    CHECK(session.ok() == (count == 1));
    if (session.ok()) CHECK(session->take_pty().valid());
  }
}

TEST_CASE("an unexpected answer is an internal error") {
  const FakeShim shim([](const ipc::Channel& channel) {
    Next(channel);
    SendDone(channel);
  });
  CHECK(absl::IsInternal(ExecSession::Open(shim.bundle(), {"x"}, true, {}, Soon()).status()));
  const FakeShim other([](const ipc::Channel& channel) {
    Next(channel);
    Send(channel, [](shim::Reply& reply) { reply.mutable_attached(); });
  });
  CHECK(absl::IsInternal(ReopenLog(other.bundle(), Soon())));
  const FakeShim silent([](const ipc::Channel& channel) { Next(channel); });
  CHECK(absl::IsUnavailable(ReopenLog(silent.bundle(), Soon())));
}

TEST_CASE("a shim that does not answer fails at the deadline, one that is gone at once") {
  const FakeShim shim([](const ipc::Channel& channel) {
    Next(channel);
    Next(channel);  // until the caller closes the connection
  });
  CHECK(absl::IsDeadlineExceeded(
      ReopenLog(shim.bundle(), base::Deadline::In(absl::Milliseconds(30)))));
  const TempDir empty;
  const absl::Status gone = ReopenLog(empty.path, Soon());
  CHECK_FALSE(gone.ok());
  CHECK_FALSE(absl::IsDeadlineExceeded(gone));
}

TEST_CASE("attach, resize and reopen reach the shim with what was asked") {
  {
    const FakeShim shim([](const ipc::Channel& channel) {
      std::vector<base::UniqueFd> outputs;
      const shim::Request request = Next(channel, &outputs);
      if (outputs.size() != 2 || !request.attach().stdin() || !request.attach().stdout()) return;
      Send(channel, [](shim::Reply& reply) { reply.mutable_attached(); }, {0});
    });
    shim::Attach attach;
    attach.set_stdin(true);
    attach.set_stdout(true);
    attach.set_stderr(true);
    auto asked = AskAttach(shim.bundle(), attach, {0, 0});
    REQUIRE(asked.ok());
    const auto session = Attached(*std::move(asked), Soon());
    REQUIRE(session.ok());
    CHECK(session->stdin_.valid());
  }
  {
    const FakeShim shim([](const ipc::Channel& channel) {
      const shim::Request request = Next(channel);
      if (request.resize_tty().width() == 80 && request.resize_tty().height() == 25)
        SendDone(channel);
    });
    const auto asked = AskResizeTty(shim.bundle(), 80, 25);
    REQUIRE(asked.ok());
    CHECK(asked->ReceiveMessage<shim::Reply>(nullptr, Soon())->has_done());
  }
  {
    const FakeShim shim([](const ipc::Channel& channel) {
      if (Next(channel).has_reopen_log()) Send(channel, Failure("log", EACCES, "/x"));
    });
    CHECK(ReopenLog(shim.bundle(), Soon()) ==
          absl::InvalidArgumentError("log: /x: permission denied (EACCES)"));
  }
}

TEST_CASE("nobody waits for a stopped shim to resize a terminal, and it gets every size in order") {
  const TempDir dir;
  const absl::StatusOr<base::UniqueFd> listener = ipc::Listen(dir.path + "/shim.sock");
  REQUIRE(listener.ok());
  const base::Deadline at_once = base::Deadline::In(absl::Seconds(1));
  for (uint32_t width = 1; width <= 100; ++width)
    REQUIRE(AskResizeTty(dir.path, width, 25).ok());  // the connection is closed
  CHECK_FALSE(at_once.Passed());
  for (uint32_t width = 1; width <= 100; ++width) {
    const ipc::Channel channel(
        base::UniqueFd(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC)));
    REQUIRE(Next(channel).resize_tty().width() == width);
  }
}

}  // namespace
}  // namespace crisp::shim_client
