// The mounts of the spec, in its order, attached below the rootfs.
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.h"
#include "linux/syscalls.h"
#include "shim/child/step.h"
#include "shim/child/target.h"

namespace crisp::shim {
namespace {

// Fails with the file system's own message about a wrong option, if there is one ("e tmpfs: Bad
// value ..." read from the fsopen descriptor).
bool FailFilesystem(Child& child, int fs, const char* destination) {
  const int error = errno;
  char message[256];
  const ssize_t n = read(fs, message, sizeof(message) - 1);
  message[n > 0 ? n - (message[n - 1] == '\n' ? 1 : 0) : 0] = '\0';
  return child.Refuse(error, destination, n > 0 ? ": " : "",
                      message + (n > 2 && message[1] == ' ' ? 2 : 0));
}

// Makes a detached instance of a file system; -1 when that has failed and is in the report.
int MakeFilesystem(Child& child, const MountPlan& mount, const char* type) {
  const char* destination = mount.destination.c_str();
  const base::UniqueFd fs(fsopen(type, FSOPEN_CLOEXEC));
  if (!fs.valid()) {
    child.Fail(destination, ": file system ", type);
    return -1;
  }
  bool ok = mount.source.empty() ||
            fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", mount.source.c_str(), 0) == 0;
  for (const auto& [key, value] : mount.options.data) {
    ok = ok && (value.empty()
                    ? fsconfig(fs.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                    : fsconfig(fs.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0)) == 0;
  }
  if (!ok || fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    FailFilesystem(child, fs.get(), destination);
    return -1;
  }
  const int tree = fsmount(fs.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(mount.options.top.set));
  if (tree < 0) child.Fail(destination, ": fsmount ", type);
  return tree;
}

// On a host with cgroup v1: a tmpfs that gets a directory per hierarchy (FillCgroupTree).
int MakeCgroupTree(Child& child, const MountPlan& mount) {
  const base::UniqueFd fs(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!fs.valid() || fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", "cgroup", 0) != 0 ||
      fsconfig(fs.get(), FSCONFIG_SET_STRING, "mode", "755", 0) != 0 ||
      fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    child.Fail(mount.destination.c_str(), ": tmpfs");
    return -1;
  }
  const int tree =
      fsmount(fs.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (tree < 0) child.Fail(mount.destination.c_str(), ": fsmount tmpfs");
  return tree;
}

// Binds the container's own group of each hierarchy. Called after the tmpfs is attached: kernels
// before 6.15 cannot attach a mount to a detached tree.
bool FillCgroupTree(Child& child, const MountPlan& mount, int tree) {
  for (const CgroupBind& bind : child.launch->cgroup_binds) {
    if (mkdirat(tree, bind.name.c_str(), 0755) != 0)
      return child.Fail(mount.destination.c_str(), "/", bind.name.c_str());
    const base::UniqueFd place(
        openat(tree, bind.name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!place.valid() || !AttachTree(bind.tree, place.get())) {
      return child.Fail(mount.destination.c_str(), "/", bind.name.c_str());
    }
  }
  mount_attr attributes = {};
  attributes.attr_set = mount.options.top.set;
  return mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) == 0 ||
         child.Fail(mount.destination.c_str(), ": make read-only");
}

int MakeTree(Child& child, const MountPlan& mount) {
  switch (mount.kind) {
    case MountKind::kBind:
    case MountKind::kImage:
      return mount.tree;
    case MountKind::kFilesystem:
      return mount.tree >= 0 ? mount.tree : MakeFilesystem(child, mount, mount.fs_type.c_str());
    case MountKind::kCgroup:
      return child.launch->cgroup_binds.empty() ? MakeFilesystem(child, mount, "cgroup2")
                                                : MakeCgroupTree(child, mount);
  }
  return -1;
}

// Later steps and all programs trust what is below /proc, /sys and /dev, so an image in which one
// of them is a link (to a volume, to somewhere in the image) is refused, as in other runtimes.
bool IsTrustedPath(const char* path) {
  return strcmp(path, "/proc") == 0 || strcmp(path, "/sys") == 0 || strcmp(path, "/dev") == 0;
}

int OpenPlace(Child& child, const MountPlan& mount, TargetType type) {
  const char* destination = mount.destination.c_str();
  if (IsTrustedPath(destination)) {
    const base::UniqueFd direct(
        openat(child.root, destination + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info;
    if (direct.valid() && fstat(direct.get(), &info) == 0 && !S_ISDIR(info.st_mode)) {
      child.Refuse(ENOTDIR, destination, " must be an ordinary directory in the image");
      return -1;
    }
  }
  const int place = OpenOrMakeInside(child.root, destination, type);
  if (place < 0) child.Fail(destination);
  return place;
}

// Only a procfs may be mounted on /proc, and a destination that does not name /proc must not lead
// into it through a link of the image. Destinations below /proc/ were checked when the plan was
// compiled.
bool CheckPlace(Child& child, const MountPlan& mount, int tree, int place) {
  const char* destination = mount.destination.c_str();
  const bool is_proc = IsOnFilesystem(tree, PROC_SUPER_MAGIC);
  if (strcmp(destination, "/proc") == 0) {
    return is_proc || child.Refuse(EINVAL, "/proc: only a procfs may be mounted here");
  }
  if (strncmp(destination, "/proc/", 6) != 0 && IsOnFilesystem(place, PROC_SUPER_MAGIC)) {
    return child.Refuse(EINVAL, destination, " leads into /proc");
  }
  return true;
}

// The mounts on which an image may have its volumes: the root file system, and those volumes.
class ImageMounts {
 public:
  // The root and kMaxVolumes of spec/container_mounts.cc. Of more mounts than these none counts.
  static constexpr size_t kMost = 1 + 128;

  explicit ImageMounts(int root) { Add(root); }
  void Add(int tree) {
    struct statx info;
    if (count_ < kMost && statx(tree, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) == 0)
      ids_[count_++] = info.stx_mnt_id;
  }
  bool Have(int place) const {
    struct statx info;
    if (statx(place, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0) return false;
    for (size_t i = 0; i < count_; ++i) {
      if (ids_[i] == info.stx_mnt_id) return true;
    }
    return false;
  }

 private:
  size_t count_ = 0;
  uint64_t ids_[kMost] = {};
};

bool Apply(Child& child, const MountPlan& mount, ImageMounts& image) {
  const base::UniqueFd tree(MakeTree(child, mount));
  if (!tree.valid()) return false;
  const bool is_file = (mount.kind == MountKind::kBind || mount.kind == MountKind::kImage) &&
                       !mount.tree_is_directory;
  const base::UniqueFd place(
      OpenPlace(child, mount, is_file ? TargetType::kFile : TargetType::kDirectory));
  if (!place.valid() || !CheckPlace(child, mount, tree.get(), place.get())) return false;
  if (mount.is_image_volume && !image.Have(place.get())) {
    return child.Refuse(EINVAL, mount.destination.c_str(),
                        ": a volume of the image must not lie on a mount that is not the image's");
  }
  if (!AttachTree(tree.get(), place.get()))
    return child.Fail(mount.destination.c_str(), ": attach");
  if (mount.is_image_volume) image.Add(tree.get());
  return mount.kind != MountKind::kCgroup || child.launch->cgroup_binds.empty() ||
         FillCgroupTree(child, mount, tree.get());
}

}  // namespace

bool ApplyMounts(Child& child) {
  ImageMounts image(child.root);
  for (const MountPlan& mount : child.launch->mounts) {
    if (!Apply(child, mount, image)) return false;
  }
  return true;
}

}  // namespace crisp::shim
