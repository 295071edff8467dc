#include "runtime/pause_root.h"

#include <sys/stat.h>

#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/temporary_files.h"

namespace crisp::runtime {
namespace {

constexpr mode_t kMode = 0755;

bool IsInstalled(const std::string& path, const std::string& text) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0 || info.st_mode != (S_IFREG | kMode)) return false;
  const absl::StatusOr<std::string> there = base::ReadFile(path);
  return there.ok() && *there == text;
}

}  // namespace

absl::Status PauseRoot::Install() const {
  CRISP_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(program_));
  for (const char* name : {"dev/shm", "etc", "proc"})
    CRISP_RETURN_IF_ERROR(base::MakeDirs(base::JoinPath(directory_, name), 0755));
  const std::string path = base::JoinPath(directory_, "pause");
  base::RemoveTemporaries(path);
  if (IsInstalled(path, text)) return absl::OkStatus();
  return base::WriteFileAtomic(path, text, kMode);
}

absl::StatusOr<std::string> PauseRoot::Get() {
  absl::MutexLock lock(&mu_);
  if (!installed_) {
    CRISP_RETURN_IF_ERROR(base::Prefix(Install(), "install pause"));
    installed_ = true;
  }
  return directory_;
}

}  // namespace crisp::runtime
