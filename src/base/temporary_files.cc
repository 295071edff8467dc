#include "base/temporary_files.h"

#include <unistd.h>

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace crisp::base {

void RemoveTemporaries(const std::string& path) {
  const size_t name = path.rfind('/') + 1;  // npos + 1 is 0
  const std::string directory = name == 0 ? "." : path.substr(0, name);
  const std::string prefix = absl::StrCat(path.substr(name), kTemporaryMark);
  const absl::StatusOr<std::vector<std::string>> names = ListDir(directory);
  if (!names.ok()) return;
  for (const std::string& each : *names)
    if (absl::StartsWith(each, prefix)) (void)unlink(JoinPath(directory, each).c_str());
}

}  // namespace crisp::base
