#include "shim/exec_table.h"

#include <algorithm>
#include <cerrno>

namespace crisp::shim {

void ExecTable::Start(ExecHost& host, Connection& connection, const ::shim::v1::Exec& exec,
                      const std::vector<base::UniqueFd>& stdio) {
  const auto is_gone = [&host](uint64_t serial) {
    return !absl::IsFailedPrecondition(
        cgroup::RemoveExecGroup(host.container.cgroup->v2.get(), serial));
  };
  std::vector<uint64_t>& leftover = host.leftover_groups;
  leftover.erase(std::remove_if(leftover.begin(), leftover.end(), is_gone), leftover.end());
  const auto is_free = [](const auto& session) { return session == nullptr; };
  auto* place = std::find_if(std::begin(execs_), std::end(execs_), is_free);
  if (place == std::end(execs_)) {
    place = std::find_if(std::begin(execs_), std::end(execs_),
                         [](const auto& session) { return session->GiveUp(); });
  }
  if (place == std::end(execs_))
    return connection.Fail(ipc::Step::kExec, EAGAIN, "too many execs run in the container");
  *place = std::make_unique<ExecSession>();
  (*place)->Start(host, ++serial_, connection, exec, stdio);
}

ExecSession* ExecTable::Find(const Connection& connection) const {
  for (const auto& exec : execs_) {
    if (exec != nullptr && exec->connection() == &connection) return exec.get();
  }
  return nullptr;
}

void ExecTable::Kill(const Connection& connection) {
  if (ExecSession* exec = Find(connection)) exec->Kill();
}

void ExecTable::KillAll() {
  for (const auto& exec : execs_) {
    if (exec != nullptr && exec->is_active()) exec->Kill();
  }
}

void ExecTable::OnHangup(const Connection& connection) {
  if (ExecSession* exec = Find(connection)) exec->Hangup();
}

bool ExecTable::AnyLaunching() const {
  return std::any_of(std::begin(execs_), std::end(execs_),
                     [](const auto& exec) { return exec != nullptr && exec->IsLaunching(); });
}

bool ExecTable::AnyAlive() const {
  return std::any_of(std::begin(execs_), std::end(execs_),
                     [](const auto& exec) { return exec != nullptr && exec->is_alive(); });
}

std::vector<pid_t> ExecTable::Children() const {
  std::vector<pid_t> children;
  for (const auto& exec : execs_) {
    if (exec == nullptr) continue;
    if (exec->helper() != 0) children.push_back(exec->helper());
    if (exec->is_alive() && !exec->IsLaunching()) children.push_back(exec->pid());
  }
  return children;
}

bool ExecTable::OnExit(pid_t pid, int status) {
  return std::any_of(std::begin(execs_), std::end(execs_), [&](const auto& exec) {
    return exec != nullptr && exec->OnExit(pid, status);
  });
}

bool ExecTable::FreeEnded() {
  bool freed = false;
  for (auto& exec : execs_) {
    if (exec == nullptr || exec->is_active()) continue;
    exec.reset();
    freed = true;
  }
  return freed;
}

}  // namespace crisp::shim
