#include "pause_process.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace crisp::pause_test {
namespace {

pid_t ParentOf(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string stat;
  std::getline(file, stat);
  const size_t name_end = stat.rfind(')');  // the name may have spaces and parentheses
  if (name_end == std::string::npos) return -1;
  return static_cast<pid_t>(std::atoi(stat.c_str() + name_end + 4));  // ") S <ppid>"
}

}  // namespace

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

int CountChildren(pid_t pid) {
  int children = 0;
  DIR* proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    const std::string name = entry->d_name;
    if (name[0] >= '1' && name[0] <= '9' && ParentOf(name) == pid) ++children;
  }
  closedir(proc);
  return children;
}

PauseProcess::PauseProcess(int clone_flags, const std::function<void()>& before_exec)
    : pid_(static_cast<pid_t>(syscall(SYS_clone, clone_flags | SIGCHLD, 0, 0, 0, 0))) {
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  before_exec();
  execl(CRISP_PAUSE, "pause", nullptr);
  _exit(127);
}

PauseProcess::~PauseProcess() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool PauseProcess::Waiting() const {
  return Eventually([this] {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/syscall");
    long number = -1;
    return file >> number && number == SYS_rt_sigtimedwait;
  });
}

int PauseProcess::EndWith(int signal) {
  kill(pid_, signal);
  int status = 0;
  if (!Eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) return -1;
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace crisp::pause_test
