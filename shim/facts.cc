#include "shim/facts.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace crisp::shim {
namespace {

// More than an exit record ever has. The rest of the file is spaces, which JSON allows at its end.
constexpr size_t kExitBytes = 256;

std::string Temporary(const char* name) { return absl::StrCat(name, ".new"); }

absl::StatusOr<base::UniqueFd> Create(int bundle_fd, const char* name) {
  return base::OpenAt(bundle_fd, Temporary(name), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
}

absl::Status Publish(int bundle_fd, const char* name) {
  base::Failpoint("shim, still to rename: ", name);
  if (renameat(bundle_fd, Temporary(name).c_str(), bundle_fd, name) != 0)
    return base::Errno("rename", name);
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteInit(int bundle_fd, const ipc::InitRecord& record) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, Create(bundle_fd, base::kInitFile));
  CRISP_RETURN_IF_ERROR(
      base::Prefix(base::WriteAll(fd.get(), ipc::EncodeInit(record)), base::kInitFile));
  return Publish(bundle_fd, base::kInitFile);
}

absl::Status ExitFile::Reserve(int bundle_fd) {
  CRISP_ASSIGN_OR_RETURN(fd_, Create(bundle_fd, base::kExitFile));
  const int error = posix_fallocate(fd_.get(), 0, kExitBytes);
  return error == 0 ? absl::OkStatus() : base::Errno("reserve", base::kExitFile, error);
}

absl::Status ExitFile::Write(int bundle_fd, const ipc::ExitRecord& record) const {
  std::string text = ipc::EncodeExit(record);
  text.resize(kExitBytes, ' ');
  CRISP_RETURN_IF_ERROR(base::Prefix(base::WriteAll(fd_.get(), text), base::kExitFile));
  return Publish(bundle_fd, base::kExitFile);
}

}  // namespace crisp::shim
