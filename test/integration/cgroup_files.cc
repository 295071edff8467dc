#include "integration/cgroup_files.h"

#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace crisp::test {

bool OnV1() { return access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0; }

std::string CgroupPath(Pod& pod, const std::string& container, const std::string& controller,
                       const std::string& v1_name, const std::string& v2_name) {
  const std::string directory = pod.CgroupDirectory(container, controller);
  const std::string v1_path = absl::StrCat(directory, "/", v1_name);
  const bool on_v1 = !v1_name.empty() && access(v1_path.c_str(), F_OK) == 0;
  return on_v1 ? v1_path : absl::StrCat(directory, "/", v2_name);
}

std::string CgroupFile(Pod& pod, const std::string& container, const std::string& controller,
                       const std::string& v1_name, const std::string& v2_name) {
  return std::string(absl::StripTrailingAsciiWhitespace(
      base::ReadFile(CgroupPath(pod, container, controller, v1_name, v2_name)).value()));
}

}  // namespace crisp::test
