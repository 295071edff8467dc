// Device nodes, and the links that every /dev has.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstring>

#include "base/unique_fd.h"
#include "shim/child/step.h"
#include "shim/child/target.h"

namespace crisp::shim {
namespace {

struct Link {
  const char* name;
  const char* target;
};
constexpr Link kLinks[] = {{"fd", "/proc/self/fd"},
                           {"stdin", "/proc/self/fd/0"},
                           {"stdout", "/proc/self/fd/1"},
                           {"stderr", "/proc/self/fd/2"},
                           {"ptmx", "pts/ptmx"}};

bool Bind(Child& child, const DevicePlan& device) {
  const base::UniqueFd place(OpenOrMakeInside(child.root, device.path.c_str(), TargetType::kFile));
  return (place.valid() && AttachTree(device.tree, place.get())) || child.Fail(device.path.c_str());
}

// Opens the directory of the node; `name` becomes the last component of its path.
int OpenParent(Child& child, const DevicePlan& device, const char*& name) {
  char directory[PATH_MAX];
  strcpy(directory, device.path.c_str());  // shorter than PATH_MAX: see CleanPath
  char* slash = strrchr(directory, '/');
  name = device.path.c_str() + (slash - directory) + 1;
  *(slash == directory ? slash + 1 : slash) = '\0';
  return OpenOrMakeInside(child.root, directory, TargetType::kDirectory);
}

bool Make(Child& child, const DevicePlan& device) {
  const char* path = device.path.c_str();
  const char* name;
  const base::UniqueFd parent(OpenParent(child, device, name));
  if (!parent.valid()) return child.Fail(path);
  if (mknodat(parent.get(), name, device.mode, device.device) != 0) {
    if (errno != EEXIST) return child.Fail(path);
    // An image or a volume may have the node already. It must be the same device and not a link,
    // and is not changed: in a volume it may be the host's own.
    struct stat info;
    const bool same = fstatat(parent.get(), name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                      (info.st_mode & S_IFMT) == (device.mode & S_IFMT) &&
                      info.st_rdev == device.device;
    return same || child.Refuse(EEXIST, path, ": exists and is not the same device");
  }
  return fchownat(parent.get(), name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW) == 0 ||
         child.Fail(path, ": chown");
}

}  // namespace

bool ApplyDevices(Child& child) {
  for (const DevicePlan& device : child.launch->devices) {
    if (!(device.tree >= 0 ? Bind(child, device) : Make(child, device))) return false;
  }
  if (!child.launch->populate_dev) return true;
  const base::UniqueFd dev(OpenInside(child.root, "/dev"));
  if (!dev.valid()) return child.Fail("/dev");
  const base::UniqueFd kcore(OpenInside(child.root, "/proc/kcore"));
  if (kcore.valid() && symlinkat("/proc/kcore", dev.get(), "core") != 0 && errno != EEXIST)
    return child.Fail("/dev/core");
  for (const Link& link : kLinks) {
    if (symlinkat(link.target, dev.get(), link.name) != 0 && errno != EEXIST)
      return child.Fail("/dev/", link.name);
  }
  return true;
}

}  // namespace crisp::shim
