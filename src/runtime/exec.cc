#include "runtime/exec.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "linux/null_device.h"
#include "linux/pipe.h"
#include "shim_client/session.h"

namespace crisp::runtime {
namespace {

// For one round trip to a shim.
base::Deadline Soon() { return base::Deadline::In(absl::Seconds(10)); }

absl::StatusOr<base::UniqueFd> Duplicate(int fd) {
  base::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return base::Errno("dup", "");
  return copy;
}

class ExecControl : public streaming::ProcessControl {
 public:
  ExecControl(shim_client::ExecSession session, base::UniqueFd tty)
      : session_(std::move(session)), tty_(std::move(tty)) {}

  absl::StatusOr<int> Wait() override { return session_.Wait(Soon()); }
  absl::Status Resize(uint16_t columns, uint16_t rows) override {
    const winsize size = {.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    if (ioctl(tty_.get(), TIOCSWINSZ, &size) != 0) return base::Errno("resize tty", "");
    return absl::OkStatus();
  }
  void Kill() override { (void)session_.Kill(); }

 private:
  shim_client::ExecSession session_;
  base::UniqueFd tty_;  // a second descriptor of the master, for the window size
};

class AttachControl : public streaming::ProcessControl {
 public:
  AttachControl(std::string bundle, ipc::Channel channel)
      : bundle_(std::move(bundle)), channel_(std::move(channel)) {}

  absl::StatusOr<int> Wait() override { return 0; }
  absl::Status Resize(uint16_t columns, uint16_t rows) override {
    // The worker that calls is everybody's, so it does not wait for the shim.
    return shim_client::AskResizeTty(bundle_, columns, rows).status();
  }
  void Kill() override {}

 private:
  const std::string bundle_;
  ipc::Channel channel_;  // closing it detaches
};

// What has arrived, for an answer that is known to be there.
base::Deadline Now() { return base::Deadline::In(absl::ZeroDuration()); }

class ExecStart final : public streaming::ProcessStart {
 public:
  ExecStart(shim_client::PendingExec asked, streaming::Stdio io, PendingStarts::Place place)
      : asked_(std::move(asked)), io_(std::move(io)), place_(std::move(place)) {}

  absl::StatusOr<streaming::Process> Finish() override {
    CRISP_ASSIGN_OR_RETURN(shim_client::ExecSession session, asked_.Started(Now()));
    streaming::Process process;
    process.io = std::move(io_);
    process.io.tty = session.take_pty();
    CRISP_ASSIGN_OR_RETURN(process.exited, Duplicate(session.fd()));
    base::UniqueFd tty;
    if (process.io.tty.valid()) {
      CRISP_ASSIGN_OR_RETURN(tty, Duplicate(process.io.tty.get()));
    }
    process.control = std::make_unique<ExecControl>(std::move(session), std::move(tty));
    return process;
  }

 private:
  shim_client::PendingExec asked_;
  streaming::Stdio io_;
  const PendingStarts::Place place_;
};

class AttachStart final : public streaming::ProcessStart {
 public:
  AttachStart(std::string bundle, ipc::Channel asked, streaming::Stdio io)
      : bundle_(std::move(bundle)), asked_(std::move(asked)), io_(std::move(io)) {}

  absl::StatusOr<streaming::Process> Finish() override {
    CRISP_ASSIGN_OR_RETURN(shim_client::AttachSession session,
                           shim_client::Attached(std::move(asked_), Now()));
    streaming::Process process;
    process.io = std::move(io_);
    process.io.in = std::move(session.stdin_);
    CRISP_ASSIGN_OR_RETURN(process.exited, Duplicate(session.channel.fd()));
    process.control = std::make_unique<AttachControl>(bundle_, std::move(session.channel));
    return process;
  }

 private:
  const std::string bundle_;
  ipc::Channel asked_;
  streaming::Stdio io_;
};

absl::StatusOr<base::UniqueFd> NewSocket(int family) {
  base::UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::Errno("socket", "");
  return fd;
}

}  // namespace

absl::StatusOr<streaming::Server*> Execs::StreamingServer() {
  absl::MutexLock lock(&server_mu_);
  if (server_ == nullptr && stopping_) return absl::UnavailableError("crispd is stopping");
  if (server_ == nullptr) {
    CRISP_ASSIGN_OR_RETURN(
        server_, streaming::Server::Start({.address = core_.config.streaming.address}, this));
  }
  return server_.get();
}

absl::Status Execs::StartStreaming() {
  const absl::Status started = StreamingServer().status();
  if (started.ok() || absl::IsInvalidArgument(started)) return started;
  base::Log(base::LogLevel::kWarning, "exec, attach and port-forward cannot be served now",
            {{"error", std::string(started.message())}});
  return absl::OkStatus();
}

void Execs::BeginStopStreaming() {
  absl::MutexLock lock(&server_mu_);
  stopping_ = true;
  if (server_ != nullptr) server_->BeginStop();
}

void Execs::StopStreaming() {
  BeginStopStreaming();
  const absl::StatusOr<streaming::Server*> server = StreamingServer();
  if (server.ok()) (*server)->Stop();
}

absl::StatusOr<std::string> Execs::Url(const streaming::Request& request) {
  CRISP_ASSIGN_OR_RETURN(streaming::Server* const server, StreamingServer());
  return server->Url(request);
}

absl::StatusOr<std::string> Execs::RunningBundle(const std::string& container_id) const {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, core_.objects.FindRunning(container_id));
  return core_.paths.Bundle(container->id());
}

absl::StatusOr<base::UniqueFd> Execs::Netns(const std::string& sandbox_id) const {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, core_.objects.FindReady(sandbox_id));
  const std::string path =
      sandbox->Read([](const store::SandboxRecord& record) { return record.netns_path; });
  if (path.empty()) return base::UniqueFd();
  return cni::OpenNetns(path);
}

absl::StatusOr<streaming::PendingProcess> Execs::Exec(const streaming::ExecRequest& request) {
  CRISP_ASSIGN_OR_RETURN(const std::string bundle, RunningBundle(request.container_id));
  CRISP_ASSIGN_OR_RETURN(PendingStarts::Place place, pending_starts_.Enter(request.container_id));
  const streaming::Streams& wanted = request.streams;
  linux::Pipe in, out, err;
  std::vector<int> stdio;
  base::UniqueFd null;
  if (!wanted.tty) {
    CRISP_ASSIGN_OR_RETURN(null, linux::OpenNull());
    if (wanted.in) {
      CRISP_ASSIGN_OR_RETURN(in, linux::MakePipe());
    }
    if (wanted.out) {
      CRISP_ASSIGN_OR_RETURN(out, linux::MakePipe());
    }
    if (wanted.err) {
      CRISP_ASSIGN_OR_RETURN(err, linux::MakePipe());
    }
    for (const base::UniqueFd* fd : {&in.read, &out.write, &err.write})
      stdio.push_back(fd->valid() ? fd->get() : null.get());
  }
  CRISP_ASSIGN_OR_RETURN(shim_client::PendingExec asked,
                         shim_client::PendingExec::Ask(bundle, request.command, wanted.tty, stdio,
                                                       base::Deadline::Never(),
                                                       /*survives=*/false));
  streaming::PendingProcess pending;
  CRISP_ASSIGN_OR_RETURN(pending.answered, Duplicate(asked.fd()));
  streaming::Stdio io;
  io.in = std::move(in.write);
  io.out = std::move(out.read);
  io.err = std::move(err.read);
  pending.start = std::make_unique<ExecStart>(std::move(asked), std::move(io), std::move(place));
  return pending;
}

absl::StatusOr<streaming::PendingProcess> Execs::Attach(const streaming::AttachRequest& request) {
  CRISP_ASSIGN_OR_RETURN(const std::string bundle, RunningBundle(request.container_id));
  const streaming::Streams& wanted = request.streams;
  shim::v1::Attach message;
  message.set_stdin(wanted.in);
  message.set_stdout(wanted.out);
  message.set_stderr(wanted.err);
  linux::Pipe out, err;
  std::vector<int> outputs;
  if (wanted.out) {
    CRISP_ASSIGN_OR_RETURN(out, linux::MakePipe());
    outputs.push_back(out.write.get());
  }
  if (wanted.err) {
    CRISP_ASSIGN_OR_RETURN(err, linux::MakePipe());
    outputs.push_back(err.write.get());
  }
  CRISP_ASSIGN_OR_RETURN(ipc::Channel asked, shim_client::AskAttach(bundle, message, outputs));
  streaming::PendingProcess pending;
  CRISP_ASSIGN_OR_RETURN(pending.answered, Duplicate(asked.fd()));
  // Also with a tty the output comes through the shim, which writes the log.
  streaming::Stdio io;
  io.out = std::move(out.read);
  io.err = std::move(err.read);
  pending.start = std::make_unique<AttachStart>(bundle, std::move(asked), std::move(io));
  return pending;
}

absl::StatusOr<base::UniqueFd> Execs::PodSocket(const std::string& sandbox_id, int family) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, Netns(sandbox_id));
  if (!netns.valid()) return NewSocket(family);
  absl::StatusOr<base::UniqueFd> fd = absl::InternalError("");
  CRISP_RETURN_IF_ERROR(cni::RunInNetns(netns.get(), [&] {
    fd = NewSocket(family);
    return absl::OkStatus();
  }));
  return fd;
}

}  // namespace crisp::runtime
