#include "spec/cdi_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

absl::Status Append(const std::string& name, const CdiEdits& more, CdiEdits& all) {
  if (!more.unsupported.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("CDI device \"", name, "\": needs ",
                                                      more.unsupported.front(),
                                                      ", which crisp does not support"));
  }
  all.env.insert(all.env.end(), more.env.begin(), more.env.end());
  all.nodes.insert(all.nodes.end(), more.nodes.begin(), more.nodes.end());
  all.mounts.insert(all.mounts.end(), more.mounts.begin(), more.mounts.end());
  all.additional_gids.insert(all.additional_gids.end(), more.additional_gids.begin(),
                             more.additional_gids.end());
  return absl::OkStatus();
}

}  // namespace

struct CdiFiles::File {
  // Which content of which file. The kernel sets the ctime with each change, and nobody else can.
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    int64_t ctime_ns = 0;

    friend bool operator==(const Version&, const Version&) = default;
  };

  Version version;
  bool settled = false;  // another content would have another version
  absl::StatusOr<CdiSpec> spec;
};

absl::StatusOr<CdiFiles::FilePtr> CdiFiles::Read(const std::string& path, const FilePtr& known) {
  // Opening a FIFO would wait for a writer.
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::Open(path, O_RDONLY | O_NONBLOCK));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return base::Errno("stat", path);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("is not a regular file");
  const File::Version version = {
      .device = info.st_dev,
      .inode = info.st_ino,
      .size = info.st_size,
      .ctime_ns = int64_t{info.st_ctim.tv_sec} * 1'000'000'000 + info.st_ctim.tv_nsec};
  if (known != nullptr && known->settled && known->version == version) return known;
  const int64_t age_ns = base::WallNanos() - version.ctime_ns;
  CRISP_ASSIGN_OR_RETURN(const std::string text, base::ReadAll(fd.get()));
  ++reads_;
  return std::make_shared<const File>(
      File{.version = version,
           .settled = absl::Nanoseconds(age_ns) >= settled_,
           .spec = absl::EndsWith(path, ".yaml") ? DecodeCdiYaml(text) : DecodeCdiSpec(text)});
}

// All devices that the directories describe now.
class CdiFiles::Registry {
 public:
  Registry(CdiFiles& owner, const std::vector<std::string>& directories,
           const std::map<std::string, FilePtr>& known) {
    for (const std::string& directory : directories) ReadDirectory(owner, directory, known);
  }

  absl::StatusOr<const CdiSpec*> Find(const std::string& name) const {
    const auto it = devices_.find(name);
    if (it == devices_.end()) {
      return Invalid(kDevice, name,
                     skipped_.empty() ? "no such device on this node"
                                      : absl::StrCat("no such device on this node (not read: ",
                                                     absl::StrJoin(skipped_, "; "), ")"));
    }
    if (it->second.twice) {
      return Invalid(kDevice, name, "is described by two files of one directory");
    }
    return &*it->second.file->spec;
  }

  const std::map<std::string, FilePtr>& files() const { return files_; }

 private:
  static constexpr char kDevice[] = "CDI device";

  // The specification that describes a device. Owns it: the same directory may be given twice, and
  // the file may have changed in between.
  struct Found {
    FilePtr file;
    bool twice = false;  // in two files of one directory
  };

  void ReadDirectory(CdiFiles& owner, const std::string& directory,
                     const std::map<std::string, FilePtr>& known) {
    std::map<std::string, Found> here;
    for (const std::string& name : base::ListDir(directory).value_or(std::vector<std::string>())) {
      if (!absl::EndsWith(name, ".yaml") && !absl::EndsWith(name, ".json")) continue;
      const std::string path = base::JoinPath(directory, name);
      const auto before = known.find(path);
      const absl::StatusOr<FilePtr> file =
          owner.Read(path, before == known.end() ? nullptr : before->second);
      if (file.ok()) files_[path] = *file;
      const absl::Status status = file.ok() ? (*file)->spec.status() : file.status();
      if (!status.ok()) {
        skipped_.push_back(absl::StrCat(path, ": ", status.message()));
        continue;
      }
      const CdiSpec& spec = *(*file)->spec;
      for (const auto& [device, edits] : spec.devices) {
        Found& found = here[absl::StrCat(spec.kind, "=", device)];
        found.twice = found.file != nullptr;
        found.file = *file;
      }
    }
    for (const auto& [device, found] : here) devices_[device] = found;
  }

  std::map<std::string, FilePtr> files_;
  std::map<std::string, Found> devices_;
  std::vector<std::string> skipped_;
};

void CdiFiles::SetDirectories(std::vector<std::string> directories) {
  absl::MutexLock lock(&mu_);
  directories_ = std::move(directories);
}

absl::StatusOr<CdiEdits> CdiFiles::Resolve(const std::vector<std::string>& names) {
  CdiEdits all;
  if (names.empty()) return all;
  std::vector<std::string> directories;
  std::map<std::string, FilePtr> known;
  {
    absl::MutexLock lock(&mu_);
    directories = directories_;
    known = files_;
  }
  const Registry registry(*this, directories, known);
  {
    absl::MutexLock lock(&mu_);
    files_ = registry.files();
  }
  std::set<const CdiSpec*> used;
  for (const std::string& name : names) {
    CRISP_ASSIGN_OR_RETURN(const CdiSpec* spec, registry.Find(name));
    if (used.insert(spec).second) CRISP_RETURN_IF_ERROR(Append(name, spec->edits, all));
    CRISP_RETURN_IF_ERROR(Append(name, spec->devices.at(name.substr(name.find('=') + 1)), all));
  }
  return all;
}

}  // namespace crisp::spec
