#include "cni/native/sysctl.h"

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace crisp::cni::native {

std::string SysctlPath(const char* family, const std::string& link, const char* name) {
  return absl::StrCat("/proc/sys/net/", family, "/conf/", link, "/", name);
}

absl::Status SetIfThere(const std::string& path, const std::string& value) {
  const absl::Status set = base::WriteExisting(path, value);
  return absl::IsResourceExhausted(set) ? set : absl::OkStatus();
}

}  // namespace crisp::cni::native
