#include "snapshot/tree_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "linux/rootfs_path.h"

namespace crisp::snapshot {
namespace {

constexpr absl::string_view kWhiteoutPrefix = ".wh.";
constexpr absl::string_view kAufsPrefix = ".wh..wh.";
constexpr absl::string_view kOpaqueName = ".wh..wh..opq";
constexpr char kAufsLinks[] = ".wh..wh.plnk";
constexpr size_t kMaxDeferredBytes = 16 << 20;
constexpr size_t kDiskBlock = 4096;
// Of a file as large as this the disk begins to write what is there, so much at a time. The layer
// is synced at its end, and until then the disk would have nothing to do.
constexpr int64_t kWrittenOut = 128 << 10;
constexpr int64_t kWrittenAtOnce = 4 << 20;
constexpr size_t kMaxShownName = 200;  // in messages
constexpr int64_t kMajorBits = 0xfff;  // of the kernel's 32-bit device numbers
constexpr int64_t kMinorBits = 0xfffff;

// The components without empty ones and ".". kInvalidArgument for what the kernel would not take.
absl::StatusOr<std::vector<absl::string_view>> Components(absl::string_view what,
                                                          absl::string_view path) {
  if (path.size() >= PATH_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": must be at most ", PATH_MAX - 1, " bytes long"));
  }
  if (absl::StrContains(path, '\0')) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": must not contain NUL"));
  }
  std::vector<absl::string_view> names = absl::StrSplit(path, '/', absl::SkipEmpty());
  names.erase(std::remove(names.begin(), names.end(), "."), names.end());
  return names;
}

// The components of an entry's name. ".." takes back the one before it, as text, and is nothing at
// the root: other runtimes clean names before they look at the tree. (The target of a hard link is
// looked up as it is; with a slash at its end also its last name, if it is a symbolic link.)
absl::StatusOr<std::vector<absl::string_view>> SplitName(absl::string_view name) {
  CRISP_ASSIGN_OR_RETURN(const std::vector<absl::string_view> components, Components("name", name));
  std::vector<absl::string_view> names;
  for (const absl::string_view component : components) {
    if (component != "..") {
      names.push_back(component);
    } else if (!names.empty()) {
      names.pop_back();
    }
  }
  return names;
}

std::string ParentOf(const std::vector<absl::string_view>& names) {
  return absl::StrJoin(names.begin(), names.end() - 1, "/");
}

// A look-up that fails in a loop of links or at a file is an error of the layer.
absl::Status LookupError(const absl::Status& status) {
  const bool of_the_system = absl::IsResourceExhausted(status) || absl::IsPermissionDenied(status);
  return of_the_system ? status : absl::InvalidArgumentError(status.message());
}

enum class NameKind { kPlain, kWhiteout, kOpaque, kSkipped };

// AUFS put files with several names into a directory of its own, and hard links to them into the
// layer. They are unpacked and removed at the end.
bool IsAufsLink(const std::vector<absl::string_view>& names, const TarEntry& entry) {
  return names.size() == 2 && names[0] == kAufsLinks && entry.type == TarEntry::Type::kFile;
}

absl::StatusOr<NameKind> Classify(const std::vector<absl::string_view>& names) {
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    if (absl::StartsWith(names[i], kAufsPrefix)) return NameKind::kSkipped;
    if (absl::StartsWith(names[i], kWhiteoutPrefix)) {
      return absl::InvalidArgumentError("a whiteout must not be a directory");
    }
  }
  absl::string_view last = names.back();
  if (last == kOpaqueName) return NameKind::kOpaque;
  if (absl::StartsWith(last, kAufsPrefix)) return NameKind::kSkipped;
  if (!absl::ConsumePrefix(&last, kWhiteoutPrefix)) return NameKind::kPlain;
  if (last.empty() || last == "." || last == "..") {
    return absl::InvalidArgumentError("a whiteout needs a name");
  }
  return NameKind::kWhiteout;
}

}  // namespace

absl::Status TreeWriter::Unpack(TarReader& tar) {
  TarEntry entry;
  while (true) {
    CRISP_ASSIGN_OR_RETURN(const bool more, tar.Next(entry));
    if (!more) break;
    if (absl::Status status = Apply(entry, tar); !status.ok()) {
      return base::Prefix(status, base::Printable(entry.name, kMaxShownName));
    }
  }
  if (has_aufs_links_) {
    CRISP_RETURN_IF_ERROR(Enter(""));
    CRISP_RETURN_IF_ERROR(ClearName(kAufsLinks));
  }
  return Leave();
}

absl::Status TreeWriter::Apply(const TarEntry& entry, TarReader& tar) {
  CRISP_RETURN_IF_ERROR(guard_.Spend(0, 1));
  CRISP_ASSIGN_OR_RETURN(const std::vector<absl::string_view> names, SplitName(entry.name));
  if (names.empty()) {
    // containerd applies no entry for the root, Docker "./". What ".." leads there is not meant.
    return absl::StrContains(entry.name, "..") ? absl::OkStatus() : ApplyToRoot(entry);
  }
  CRISP_ASSIGN_OR_RETURN(NameKind kind, Classify(names));
  if (IsAufsLink(names, entry)) {
    kind = NameKind::kPlain;
    has_aufs_links_ = true;
  }
  if (kind == NameKind::kSkipped) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(Enter(ParentOf(names)));
  const std::string name(names.back());
  leave_after_entry_ = false;
  switch (kind) {
    case NameKind::kOpaque:
      CRISP_RETURN_IF_ERROR(MakeOpaque(parent_.get()));
      break;
    case NameKind::kWhiteout:
      CRISP_RETURN_IF_ERROR(CreateWhiteout(name.substr(kWhiteoutPrefix.size())));
      break;
    default:
      CRISP_RETURN_IF_ERROR(Create(name, entry, tar));
  }
  return leave_after_entry_ ? Leave() : absl::OkStatus();
}

absl::Status TreeWriter::ApplyToRoot(const TarEntry& entry) {
  // A file cannot be the root.
  if (entry.type != TarEntry::Type::kDirectory) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(Leave());
  const Metadata data = MetadataOf(entry);
  return ApplyMetadata(root_fd_, data, Fresh{});
}

absl::Status TreeWriter::Create(const std::string& name, const TarEntry& entry, TarReader& tar) {
  switch (entry.type) {
    case TarEntry::Type::kFile:
      return CreateFile(name, entry, tar);
    case TarEntry::Type::kHardLink:
      return CreateHardLink(name, entry);
    case TarEntry::Type::kDirectory:
      return CreateDirectory(name, MetadataOf(entry));
    default:
      return CreateSpecial(name, entry);
  }
}

absl::Status TreeWriter::CreateFile(const std::string& name, const TarEntry& entry,
                                    TarReader& tar) {
  const Metadata data = MetadataOf(entry);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  base::UniqueFd fd;
  CRISP_RETURN_IF_ERROR(Place(name, "create", [&] {
    fd.reset(openat(parent_.get(), name.c_str(), kFlags, data.mode & 0777));
    return fd.valid() ? 0 : -1;
  }));
  CRISP_ASSIGN_OR_RETURN(const Fresh fresh, FreshChild(name, /*directory=*/false));
  CRISP_RETURN_IF_ERROR(WriteContents(fd.get(), entry, tar));
  return ApplyMetadata(fd.get(), data, fresh);
}

absl::Status TreeWriter::WriteContents(int fd, const TarEntry& entry, TarReader& tar) {
  int64_t end = 0;
  int64_t begun = 0;
  const auto begin_to_write_out = [&](int64_t least) {
    if (end - begun < least) return;
    (void)sync_file_range(fd, begun, end - begun, SYNC_FILE_RANGE_WRITE);  // syncfs(2) tells errors
    begun = end;
  };
  while (true) {
    int64_t offset = 0;
    CRISP_ASSIGN_OR_RETURN(absl::Span<const char> block, tar.NextBlock(offset));
    if (block.empty()) break;
    // A byte of a sparse file takes a block of the disk.
    CRISP_RETURN_IF_ERROR(guard_.Spend(std::max(block.size(), kDiskBlock), 0));
    while (!block.empty()) {
      const ssize_t n = pwrite(fd, block.data(), block.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return base::Errno("write", "");
      block.remove_prefix(static_cast<size_t>(n));
      offset += n;
    }
    end = offset;
    begin_to_write_out(kWrittenAtOnce);
  }
  begin_to_write_out(kWrittenOut);
  // A hole at the end.
  if (end < entry.size && ftruncate(fd, entry.size) != 0) {
    return base::Errno("truncate", absl::StrCat("to ", entry.size));
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::CreateDirectory(const std::string& name, const Metadata& data) {
  const int parent = parent_.get();
  struct stat info = {};
  bool made = mkdirat(parent, name.c_str(), data.mode & 0777) == 0;
  bool replaced = false;
  if (!made) {
    if (errno != EEXIST) return base::Errno("mkdir", "");
    if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return base::Errno("stat", "");
    }
    if (!S_ISDIR(info.st_mode)) {
      CRISP_RETURN_IF_ERROR(ClearName(name));
      if (mkdirat(parent, name.c_str(), data.mode & 0777) != 0) return base::Errno("mkdir", "");
      made = replaced = true;
    }
  }
  Fresh fresh;
  if (made) {
    CRISP_ASSIGN_OR_RETURN(fresh, FreshChild(name, /*directory=*/true));
  }
  if (!deferred_.implicit_directories.empty() || !deferred_.opaque.empty()) {
    if (fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return base::Errno("stat", "");
    }
    if (made) deferred_.Forget(info.st_ino);
    deferred_.implicit_directories.erase(info.st_ino);  // it has an entry now
  }
  if (replaced) {
    // The file would have hidden a directory of a lower layer, so its replacement must too.
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd directory,
                           base::OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    CRISP_RETURN_IF_ERROR(MakeOpaque(directory.get()));
  }
  for (const TarEntry::Xattr& xattr : data.xattrs) {
    if (xattr.name == "system.posix_acl_default") saw_default_acl_ = true;
  }
  return ApplyMetadata(parent, name, data, S_IFDIR, fresh);
}

absl::Status TreeWriter::CreateSpecial(const std::string& name, const TarEntry& entry) {
  const Metadata data = MetadataOf(entry);
  mode_t type = S_IFLNK;
  dev_t device = 0;
  if (entry.type == TarEntry::Type::kFifo) {
    type = S_IFIFO;
  } else if (entry.type != TarEntry::Type::kSymlink) {
    type = entry.type == TarEntry::Type::kCharDevice ? S_IFCHR : S_IFBLK;
    // 0:0 is a whiteout, as if written for overlayfs. Numbers are cut off as by other runtimes.
    device = makedev(entry.major & kMajorBits, entry.minor & kMinorBits);
  }
  CRISP_RETURN_IF_ERROR(Place(name, type == S_IFLNK ? "symlink" : "mknod", [&] {
    if (type == S_IFLNK) return symlinkat(entry.link.c_str(), parent_.get(), name.c_str());
    return mknodat(parent_.get(), name.c_str(), type | (data.mode & 0777), device);
  }));
  CRISP_ASSIGN_OR_RETURN(const Fresh fresh, FreshChild(name, /*directory=*/false));
  return ApplyMetadata(parent_.get(), name, data, type, fresh);
}

absl::Status TreeWriter::CreateHardLink(const std::string& name, const TarEntry& entry) {
  CRISP_ASSIGN_OR_RETURN(const std::vector<absl::string_view> target,
                         Components("target", entry.link));
  const Metadata data = MetadataOf(entry);
  if (target.empty() || target.back() == "..") {
    return absl::InvalidArgumentError("hard link to a directory");
  }
  const std::string target_parent = ParentOf(target);
  const std::string target_name(target.back());
  base::UniqueFd other;
  int target_fd = parent_.get();
  struct stat info = {};
  bool found = true;
  if (target_parent != parent_path_) {
    auto fd = linux::OpenInRoot(root_fd_, target_parent, O_PATH | O_DIRECTORY);
    found = fd.ok();
    if (!found && !absl::IsNotFound(fd.status())) return LookupError(fd.status());
    if (found) other = std::move(fd).value();
    target_fd = other.get();
  }
  if (found && fstatat(target_fd, target_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) return base::Errno("stat", entry.link);
    found = false;
  }
  const bool follow = absl::EndsWith(entry.link, "/");
  if (!found || IsWhiteout(info) || (follow && S_ISLNK(info.st_mode))) {
    CRISP_RETURN_IF_ERROR(ClearName(name));
    size_t bytes = entry.name.size() + entry.link.size();
    for (const TarEntry::Xattr& xattr : data.xattrs) bytes += xattr.value.size();
    deferred_.links.push_back({base::JoinPath(parent_path_, name),
                               base::JoinPath(target_parent, target_name), follow, data});
    return Defer(bytes);
  }
  if (S_ISDIR(info.st_mode)) return absl::InvalidArgumentError("hard link to a directory");
  struct stat existing = {};
  if (fstatat(parent_.get(), name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0 &&
      existing.st_ino == info.st_ino) {
    // A link to itself, or a repeated link.
    return ApplyLinkMetadata(parent_.get(), name, data, info);
  }
  // Flags 0: a symbolic link as target is not followed.
  CRISP_RETURN_IF_ERROR(Place(name, "link", [&] {
    return linkat(target_fd, target_name.c_str(), parent_.get(), name.c_str(), 0);
  }));
  return ApplyLinkMetadata(parent_.get(), name, data, info);
}

absl::Status TreeWriter::CreateWhiteout(const std::string& name) {
  if (mknodat(parent_.get(), name.c_str(), S_IFCHR, 0) == 0) return absl::OkStatus();
  if (errno != EEXIST) return base::Errno("mknod", name);
  base::UniqueFd directory(
      openat(parent_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory.valid()) return MakeOpaque(directory.get());
  return absl::OkStatus();  // a file of this layer hides the lower one
}

absl::Status TreeWriter::MakeOpaque(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return base::Errno("stat", "");
  if (!deferred_.opaque.insert(info.st_ino).second) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(Defer(0));
  return mark_opaque_(fd);
}

absl::Status TreeWriter::Enter(const std::string& path) {
  if (parent_.valid() && path == parent_path_) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(Leave());
  auto fd = linux::OpenInRoot(root_fd_, path, O_RDONLY | O_DIRECTORY);
  if (absl::IsNotFound(fd.status())) {
    CRISP_RETURN_IF_ERROR(MakeImplicitParents(path));
    fd = linux::OpenInRoot(root_fd_, path, O_RDONLY | O_DIRECTORY);
  }
  if (!fd.ok()) return LookupError(fd.status());
  if (fstat(fd->get(), &parent_info_) != 0) return base::Errno("stat", path);
  parent_has_default_acl_ =
      saw_default_acl_ && fgetxattr(fd->get(), "system.posix_acl_default", nullptr, 0) > 0;
  parent_ = std::move(fd).value();
  parent_path_ = path;
  return absl::OkStatus();
}

absl::Status TreeWriter::Leave() {
  if (!parent_.valid()) return absl::OkStatus();
  const timespec times[2] = {parent_info_.st_mtim, parent_info_.st_mtim};
  const int result = futimens(parent_.get(), times);
  parent_.reset();
  return result == 0 ? absl::OkStatus() : base::Errno("utimensat", parent_path_);
}

absl::Status TreeWriter::MakeImplicitParents(const std::string& path) {
  std::vector<std::string> created;
  if (absl::Status status = MakeParents(root_fd_, path, created); !status.ok()) {
    return LookupError(status);
  }
  for (std::string& directory : created) {
    struct stat info;
    CRISP_RETURN_IF_ERROR(guard_.Spend(0, 1));
    CRISP_RETURN_IF_ERROR(Defer(directory.size()));
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd,
                           linux::OpenBeneath(root_fd_, directory, O_PATH | O_DIRECTORY));
    if (fstat(fd.get(), &info) != 0) return base::Errno("stat", directory);
    deferred_.Forget(info.st_ino);
    deferred_.implicit_directories[info.st_ino] = std::move(directory);
  }
  return absl::OkStatus();
}

template <typename Make>
absl::Status TreeWriter::Place(const std::string& name, const char* operation, Make make) {
  if (make() == 0) return absl::OkStatus();
  if (errno != EEXIST) return base::Errno(operation, "");
  CRISP_RETURN_IF_ERROR(ClearName(name));
  return make() == 0 ? absl::OkStatus() : base::Errno(operation, "");
}

absl::Status TreeWriter::ClearName(const std::string& name) {
  struct stat info;
  if (fstatat(parent_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : base::Errno("stat", "");
  }
  // The parent's path may go through the removed directory or link, so it is looked up again.
  if (S_ISDIR(info.st_mode) || S_ISLNK(info.st_mode)) leave_after_entry_ = true;
  if (S_ISDIR(info.st_mode)) {
    CRISP_RETURN_IF_ERROR(WorkIn(parent_.get()));
    return base::RemoveTree(name);
  }
  if (unlinkat(parent_.get(), name.c_str(), 0) != 0) return base::Errno("unlink", "");
  return absl::OkStatus();
}

absl::StatusOr<Fresh> TreeWriter::FreshChild(const std::string& name, bool directory) {
  const bool inherits_group = (parent_info_.st_mode & S_ISGID) != 0;
  if (!parent_has_default_acl_) {
    // A directory also inherits the set-group-id bit.
    return Fresh{!inherits_group, !(directory && inherits_group)};
  }
  CRISP_RETURN_IF_ERROR(WorkIn(parent_.get()));
  for (const char* acl : {"system.posix_acl_access", "system.posix_acl_default"}) {
    if (lremovexattr(name.c_str(), acl) != 0 && errno != ENODATA && errno != EOPNOTSUPP) {
      return base::Errno("removexattr", acl);
    }
  }
  return Fresh{};
}

absl::Status TreeWriter::Defer(size_t bytes) {
  constexpr size_t kPerEntry = 64;
  deferred_.bytes += bytes + kPerEntry;
  if (deferred_.bytes <= kMaxDeferredBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "directories without an entry, opaque ones and links to lower layers take more than ",
      kMaxDeferredBytes, " bytes"));
}

}  // namespace crisp::snapshot
