#include "cli/play_session.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "cli/pod_messages.h"
#include "linux/pipe.h"
#include "linux/reap.h"

namespace crisp::cli {
namespace {

constexpr int kListener = 3;  // the supervisor's descriptor

absl::StatusOr<std::string> OwnProgram() {
  char path[4096];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  if (n <= 0) return base::Errno("readlink", "/proc/self/exe");
  return std::string(path, static_cast<size_t>(n));
}

// no-color.org: set to anything means without.
bool HasColors() {
  const char* no_color = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

std::string LogOf(const PodDirectory& directory) {
  return base::JoinPath(directory.path(), kSupervisorLog);
}

// The last thing that a supervisor said before it ended.
std::string LastLine(const std::string& file) {
  absl::StatusOr<std::string> text = base::ReadFile(file);
  if (!text.ok()) return "";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return text->substr(text->rfind('\n') + 1);  // npos + 1 is 0
}

std::string Line(const std::string& name, const PodReport& report) {
  std::string line = absl::StrCat("pod ", name, ": ", PhaseName(report.phase));
  if (!report.message.empty()) absl::StrAppend(&line, ": ", base::Printable(report.message));
  for (const ContainerReport& one : report.containers) {
    const bool has_failed = one.state == "Exited" && one.exit_code != 0;
    if (has_failed) absl::StrAppend(&line, ": ", one.name, ": exit code ", one.exit_code);
    if (one.message.empty() || (one.state == "Exited" && !has_failed)) continue;
    absl::StrAppend(&line, ": ", has_failed ? "" : absl::StrCat(one.name, ": "),
                    base::Printable(one.message));
  }
  return line;
}

}  // namespace

absl::Status PlaySessions::Start(const Pod& pod, const PodDirectory& directory) {
  CRISP_ASSIGN_OR_RETURN(const std::string program, OwnProgram());
  CRISP_ASSIGN_OR_RETURN(const PodRecord record, directory.ReadRecord());
  Session session(directory);
  session.name = absl::StrCat(record.namespace_, "/", record.name);
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd log,
                         base::Open(LogOf(directory), O_WRONLY | O_CREAT | O_APPEND, 0600));
  CRISP_ASSIGN_OR_RETURN(linux::Pipe pipe, linux::MakePipe());
  const linux::Command command = {
      .path = program,
      .args = {"crisp", "--endpoint", options_.endpoint, "play", "--state", options_.paths.state,
               "--data", options_.paths.data, "--logs", options_.paths.logs, "--supervise",
               session.name, "--listener", absl::StrCat(kListener)},
      .env = {},
      .cgroup = -1};
  CRISP_ASSIGN_OR_RETURN(session.child,
                         linux::Spawn(command, {-1, log.get(), log.get(), pipe.write.get()}));
  session.changes = std::move(pipe.read);
  if (options_.follow) {
    std::vector<std::string> names;
    for (const Member& member : MembersOf(pod.spec)) names.push_back(member.container->name);
    PodInstance instance;
    instance.uid = record.uid;
    instance.logs = options_.paths.logs;
    CRISP_ASSIGN_OR_RETURN(session.logs, LogFollower::Open(LogDirectory(pod, instance),
                                                           std::move(names), HasColors()));
  }
  // Until its supervisor says more, which an image that is pulled may take long to allow.
  (void)base::WriteAll(STDERR_FILENO, absl::StrCat("pod ", session.name, ": starting\n"));
  sessions_.push_back(std::move(session));
  return absl::OkStatus();
}

bool PlaySessions::IsDone(const Session& session) const {
  if (!session.changes.valid()) return true;
  if (options_.follow || !session.report.has_value()) return false;
  return !options_.wait || session.report->is_ready;
}

void PlaySessions::Tell(Session& session) {
  const std::string line = Line(session.name, *session.report);
  if (line == session.told) return;
  session.told = line;
  (void)base::WriteAll(STDERR_FILENO, line + "\n");
}

absl::Status PlaySessions::Listen(Session& session) {
  char buffer[4096];
  const ssize_t n = read(session.changes.get(), buffer, sizeof(buffer));
  if (n < 0) return errno == EINTR ? absl::OkStatus() : base::Errno("read", session.name);
  if (n == 0) {
    session.changes.reset();
    (void)linux::Reap(session.child.pid, session.child.pidfd.get(),
                      base::Deadline::In(linux::kEndTime));
    return absl::OkStatus();
  }
  // Nothing when the pod has been torn down meanwhile: what was known last counts.
  std::optional<PodReport> report = session.directory.ReadReport();
  if (!report.has_value()) return absl::OkStatus();
  session.report = std::move(report);
  Tell(session);
  return absl::OkStatus();
}

absl::Status PlaySessions::PrintLogs(Session& session) {
  CRISP_ASSIGN_OR_RETURN(const std::string text, session.logs->Read());
  return base::WriteAll(STDOUT_FILENO, text);
}

bool PlaySessions::IsWell(const Session& session) const {
  const bool is_heard =
      session.changes.valid() || (session.report.has_value() && session.report->is_over);
  if (is_heard) return session.report->phase != Phase::kFailed;
  const std::string log = LogOf(session.directory);
  const bool is_down = access(log.c_str(), F_OK) != 0;
  const std::string line = is_down
                               ? absl::StrCat("pod ", session.name, ": was taken down\n")
                               : absl::StrCat("crisp: pod ", session.name,
                                              ": its supervisor has ended: ", LastLine(log), "\n");
  (void)base::WriteAll(STDERR_FILENO, line);
  return is_down;
}

absl::StatusOr<bool> PlaySessions::Run() {
  while (true) {
    std::vector<pollfd> polled;
    bool is_done = true, has_more = false;
    for (Session& session : sessions_) {
      if (session.logs.has_value()) CRISP_RETURN_IF_ERROR(PrintLogs(session));
      has_more = has_more || (session.logs.has_value() && session.logs->has_more());
      is_done = is_done && IsDone(session);
      // -1 is passed over by poll(2).
      polled.push_back({.fd = session.changes.valid() ? session.changes.get() : -1,
                        .events = POLLIN,
                        .revents = 0});
      polled.push_back({.fd = session.logs.has_value() ? session.logs->fd() : -1,
                        .events = POLLIN,
                        .revents = 0});
    }
    if (is_done && !has_more) break;
    if (poll(polled.data(), polled.size(), has_more ? 0 : -1) < 0 && errno != EINTR)
      return base::Errno("poll", "");
    for (size_t i = 0; i < sessions_.size(); ++i) {
      if (polled[2 * i].revents != 0) CRISP_RETURN_IF_ERROR(Listen(sessions_[i]));
    }
  }
  bool is_good = true;
  // Each says what is wrong with it.
  for (const Session& session : sessions_) is_good = IsWell(session) && is_good;
  return is_good;
}

}  // namespace crisp::cli
