#include "shim/exec_table.h"

#include <algorithm>
#include <cerrno>

#include "shim/open_files.h"

namespace crisp::shim {

void ExecTable::Start(ExecHost& host, Connection& connection, const ::shim::v1::Exec& exec,
                      const std::vector<base::UniqueFd>& fds) {
  const base::Deadline deadline = base::Deadline::In(kRemoveTime);
  const auto is_gone = [&host, deadline](uint64_t serial) {
    return !absl::IsFailedPrecondition(
        cgroup::RemoveExecGroup(host.container.cgroup->v2.get(), serial, deadline));
  };
  std::vector<uint64_t>& leftover = host.leftover_groups;
  leftover.erase(std::remove_if(leftover.begin(), leftover.end(), is_gone), leftover.end());
  const auto counts = [](const auto& session) { return session->is_active(); };
  const auto active = static_cast<size_t>(std::count_if(execs_.begin(), execs_.end(), counts));
  const bool full = active >= std::min(kMaxExecs, RoomForExecs()) &&
                    std::none_of(execs_.begin(), execs_.end(),
                                 [](const auto& session) { return session->GiveUp(); });
  if (full) return connection.Fail(ipc::Step::kExec, EAGAIN, "too many execs run in the container");
  execs_.push_back(std::make_unique<ExecSession>());
  execs_.back()->Start(host, ++serial_, connection, exec, fds);
}

ExecSession* ExecTable::Find(const Connection& connection) const {
  for (const auto& exec : execs_) {
    if (exec->connection() == &connection) return exec.get();
  }
  return nullptr;
}

void ExecTable::Kill(const Connection& connection) {
  if (ExecSession* exec = Find(connection)) exec->Kill();
}

void ExecTable::KillAll() {
  for (const auto& exec : execs_) {
    if (exec->is_active()) exec->Kill();
  }
}

void ExecTable::OnHangup(const Connection& connection) {
  if (ExecSession* exec = Find(connection)) exec->Hangup();
}

int64_t ExecTable::deadline_ns() const {
  int64_t first = INT64_MAX;
  for (const auto& exec : execs_) first = std::min(first, exec->deadline_ns());
  return first;
}

void ExecTable::OnTime(int64_t now_ns) {
  for (const auto& exec : execs_) {
    if (exec->deadline_ns() <= now_ns) exec->OnTime(now_ns);
  }
}

bool ExecTable::AnyLaunching() const {
  return std::any_of(execs_.begin(), execs_.end(),
                     [](const auto& exec) { return exec->IsLaunching(); });
}

bool ExecTable::AnyAlive() const {
  return std::any_of(execs_.begin(), execs_.end(),
                     [](const auto& exec) { return exec->is_alive(); });
}

std::vector<pid_t> ExecTable::Children() const {
  std::vector<pid_t> children;
  for (const auto& exec : execs_) {
    if (exec->helper() != 0) children.push_back(exec->helper());
    if (exec->is_alive() && !exec->IsLaunching()) children.push_back(exec->pid());
  }
  return children;
}

bool ExecTable::OnExit(pid_t pid, int status) {
  return std::any_of(execs_.begin(), execs_.end(),
                     [&](const auto& exec) { return exec->OnExit(pid, status); });
}

bool ExecTable::FreeEnded() {
  const auto is_over = [](const auto& exec) { return !exec->is_active(); };
  return std::erase_if(execs_, is_over) != 0;
}

}  // namespace crisp::shim
