#include "shim_client/facts.h"

#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"

namespace crisp::shim_client {

absl::StatusOr<ipc::InitRecord> ReadInit(const std::string& bundle) {
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(bundle, base::kInitFile)));
  return ipc::DecodeInit(text);
}

absl::StatusOr<ipc::ExitRecord> ReadExit(const std::string& bundle) {
  CRISP_ASSIGN_OR_RETURN(const std::string text,
                         base::ReadFile(base::JoinPath(bundle, base::kExitFile)));
  return ipc::DecodeExit(text);
}

}  // namespace crisp::shim_client
