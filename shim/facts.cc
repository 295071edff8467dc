#include "shim/facts.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace crisp::shim {
namespace {

absl::Status WriteFact(int bundle_fd, const char* name, absl::string_view text) {
  const std::string temporary = absl::StrCat(name, ".new");
  CRISP_ASSIGN_OR_RETURN(
      const base::UniqueFd fd,
      base::OpenAt(bundle_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  CRISP_RETURN_IF_ERROR(base::WriteAll(fd.get(), text));
  if (renameat(bundle_fd, temporary.c_str(), bundle_fd, name) != 0)
    return base::Errno("rename", name);
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteInit(int bundle_fd, const ipc::InitRecord& record) {
  return WriteFact(bundle_fd, base::kInitFile, ipc::EncodeInit(record));
}

absl::Status WriteExit(int bundle_fd, const ipc::ExitRecord& record) {
  return WriteFact(bundle_fd, base::kExitFile, ipc::EncodeExit(record));
}

}  // namespace crisp::shim
