#include "linux/block_device.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace crisp::linux {

std::string BlockDeviceName(uint32_t major, uint32_t minor) {
  char target[4096];
  const ssize_t n =
      readlink(absl::StrCat("/sys/dev/block/", major, ":", minor).c_str(), target, sizeof(target));
  if (n <= 0) return "";
  const std::string path(target, static_cast<size_t>(n));
  std::string name = path.substr(path.rfind('/') + 1);
  std::replace(name.begin(), name.end(), '!', '/');  // sysfs writes cciss/c0d0 as cciss!c0d0
  return absl::StrCat("/dev/", name);
}

}  // namespace crisp::linux
