#include "shim_client/session.h"

#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "ipc/step_status.h"

namespace crisp::shim_client {
namespace {

// A shim that is stopped does not read: behind a request of this size a KillExec still fits into
// its socket, whose buffer is 208 KiB (net.core.wmem_default).
constexpr size_t kMaxInPacket = 64 << 10;

constexpr char kOomKilled[] = "oom_killed";  // a payload of a status, without a value

// "<step>: <detail>: no such file or directory (ENOENT)". The name is the shim's own: a newer shim
// may have steps that this crispd does not know.
absl::Status FailedStatus(const shim::v1::Failed& failed) {
  std::string message = failed.step();
  if (!failed.detail().empty()) absl::StrAppend(&message, ": ", failed.detail());
  if (failed.error() != 0) absl::StrAppend(&message, ": ", base::ErrnoText(failed.error()));
  if (failed.oom_killed()) {
    absl::Status status = absl::ResourceExhaustedError(message);
    status.SetPayload(kOomKilled, absl::Cord());
    return status;
  }
  if (failed.exhausted()) return absl::ResourceExhaustedError(message);
  const ipc::Step step = ipc::StepOf(failed.step_number(), failed.step());
  return absl::Status(ipc::StepStatusCode(step, failed.error()), message);
}

absl::StatusOr<shim::v1::Reply> ReceiveReply(const ipc::Channel& channel, base::Deadline deadline,
                                             std::vector<base::UniqueFd>* fds = nullptr) {
  CRISP_ASSIGN_OR_RETURN(shim::v1::Reply reply,
                         channel.ReceiveMessage<shim::v1::Reply>(fds, deadline));
  if (reply.has_failed()) return FailedStatus(reply.failed());
  // Said on every connection, whatever was asked.
  if (reply.has_exited()) return absl::UnavailableError("the container has ended");
  return reply;
}

absl::Status Unexpected() { return absl::InternalError("shim: unexpected answer"); }

absl::StatusOr<shim::v1::Started> ReceiveStarted(const ipc::Channel& channel,
                                                 base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(shim::v1::Reply reply, ReceiveReply(channel, deadline));
  if (!reply.has_started()) return Unexpected();
  return std::move(*reply.mutable_started());
}

absl::StatusOr<ipc::Channel> Open(const std::string& bundle, const shim::v1::Request& request,
                                  const std::vector<int>& fds = {}) {
  CRISP_ASSIGN_OR_RETURN(ipc::Channel channel,
                         ipc::Connect(base::JoinPath(bundle, base::kShimSocket)));
  CRISP_RETURN_IF_ERROR(channel.Send(request, fds));
  return channel;
}

// A file in memory, at its beginning.
absl::StatusOr<base::UniqueFd> FileOf(const shim::v1::Exec& exec) {
  base::UniqueFd fd(memfd_create("exec", MFD_CLOEXEC));
  if (!fd.valid()) return base::Errno("memfd_create", "exec");
  CRISP_RETURN_IF_ERROR(base::WriteAll(fd.get(), exec.SerializeAsString()));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return base::Errno("lseek", "exec");
  return fd;
}

absl::Status Call(const std::string& bundle, const shim::v1::Request& request,
                  base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(ipc::Channel channel, Open(bundle, request));
  CRISP_ASSIGN_OR_RETURN(shim::v1::Reply reply, ReceiveReply(channel, deadline));
  return reply.has_done() ? absl::OkStatus() : Unexpected();
}

absl::Status AskKill(const ipc::Channel& channel) {
  shim::v1::Control control;
  control.mutable_kill_exec();
  return channel.SendAtOnce(control);
}

}  // namespace

bool IsOomKilled(const absl::Status& status) { return status.GetPayload(kOomKilled).has_value(); }

absl::StatusOr<PendingStart> PendingStart::Ask(ipc::Channel channel, const shim::v1::Start& start) {
  shim::v1::Request request;
  *request.mutable_start() = start;
  CRISP_RETURN_IF_ERROR(channel.Send(request));
  base::Failpoint("launch shim: start asked");
  return PendingStart(std::move(channel));
}

// A shim that has closed the connection has said before why the start has failed.
absl::Status PendingStart::TellCgroupMade() const {
  shim::v1::Control made;
  made.mutable_cgroup_made();
  const absl::Status sent = channel_.Send(made);
  base::Failpoint("launch shim: cgroup told");
  return absl::IsUnavailable(sent) ? absl::OkStatus() : sent;
}

absl::StatusOr<shim::v1::Started> PendingStart::Run(base::Deadline deadline) {
  CRISP_RETURN_IF_ERROR(TellCgroupMade());
  return ReceiveStarted(channel_, deadline);
}

absl::StatusOr<ParkedStart> PendingStart::Park(base::Deadline deadline) {
  CRISP_RETURN_IF_ERROR(TellCgroupMade());
  CRISP_ASSIGN_OR_RETURN(shim::v1::Reply reply, ReceiveReply(channel_, deadline));
  if (!reply.has_created()) return Unexpected();
  return ParkedStart(std::move(channel_), reply.created().pid());
}

absl::StatusOr<shim::v1::Started> ParkedStart::Release(base::Deadline deadline) {
  shim::v1::Control release;
  release.mutable_release();
  CRISP_RETURN_IF_ERROR(channel_.Send(release));
  base::Failpoint("launch shim: release asked");
  return ReceiveStarted(channel_, deadline);
}

absl::StatusOr<PendingExec> PendingExec::Ask(const std::string& bundle,
                                             const std::vector<std::string>& args, bool tty,
                                             const std::vector<int>& stdio, base::Deadline deadline,
                                             bool survives) {
  shim::v1::Request request;
  shim::v1::Exec& exec = *request.mutable_exec();
  for (const std::string& arg : args) exec.add_args(arg);
  exec.set_tty(tty);
  exec.set_survives(survives);
  if (!deadline.is_never()) exec.set_survives_until_ns(deadline.monotonic_ns());
  std::vector<int> fds = stdio;
  base::UniqueFd file;
  if (request.ByteSizeLong() > kMaxInPacket) {
    CRISP_ASSIGN_OR_RETURN(file, FileOf(exec));
    fds.push_back(file.get());
    exec.clear_args();
    exec.set_args_in_file(true);
  }
  CRISP_ASSIGN_OR_RETURN(ipc::Channel channel, shim_client::Open(bundle, request, fds));
  return PendingExec(std::move(channel), tty);
}

absl::StatusOr<ExecSession> PendingExec::Started(base::Deadline deadline) {
  std::vector<base::UniqueFd> fds;
  CRISP_ASSIGN_OR_RETURN(shim::v1::Reply reply, ReceiveReply(channel_, deadline, &fds));
  if (!reply.has_exec_started() || fds.size() != (tty_ ? 1u : 0u)) return Unexpected();
  ExecSession session(std::move(channel_));
  if (tty_) session.pty_ = std::move(fds[0]);
  return session;
}

absl::StatusOr<ExecSession> ExecSession::Open(const std::string& bundle,
                                              const std::vector<std::string>& args, bool tty,
                                              const std::vector<int>& stdio,
                                              base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(PendingExec pending,
                         PendingExec::Ask(bundle, args, tty, stdio, deadline, /*survives=*/true));
  return pending.Started(deadline);
}

absl::StatusOr<int> ExecSession::Wait(base::Deadline deadline) const {
  CRISP_ASSIGN_OR_RETURN(shim::v1::Reply reply, ReceiveReply(channel_, deadline));
  if (!reply.has_exec_exited()) return Unexpected();
  return reply.exec_exited().exit_code();
}

// A channel that is closed without it means that crispd has died.
PendingExec::~PendingExec() {
  if (channel_.valid()) (void)AskKill(channel_);
}

ExecSession::~ExecSession() {
  if (channel_.valid()) (void)AskKill(channel_);
}

absl::Status ExecSession::Kill() const { return AskKill(channel_); }

absl::StatusOr<ipc::Channel> AskAttach(const std::string& bundle, const shim::v1::Attach& attach,
                                       const std::vector<int>& outputs) {
  shim::v1::Request request;
  *request.mutable_attach() = attach;
  return Open(bundle, request, outputs);
}

absl::StatusOr<AttachSession> Attached(ipc::Channel channel, base::Deadline deadline) {
  AttachSession session = {.channel = std::move(channel), .stdin_ = {}};
  std::vector<base::UniqueFd> fds;
  CRISP_ASSIGN_OR_RETURN(shim::v1::Reply reply, ReceiveReply(session.channel, deadline, &fds));
  if (!reply.has_attached()) return Unexpected();
  if (!fds.empty()) session.stdin_ = std::move(fds[0]);
  return session;
}

absl::StatusOr<ipc::Channel> AskResizeTty(const std::string& bundle, uint32_t width,
                                          uint32_t height) {
  shim::v1::Request request;
  request.mutable_resize_tty()->set_width(width);
  request.mutable_resize_tty()->set_height(height);
  return Open(bundle, request);
}

absl::Status ReopenLog(const std::string& bundle, base::Deadline deadline) {
  shim::v1::Request request;
  request.mutable_reopen_log();
  return Call(bundle, request, deadline);
}

}  // namespace crisp::shim_client
