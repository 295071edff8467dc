#include "store/record_store.h"

#include <unistd.h>

#include "base/errno.h"
#include "base/failpoint.h"
#include "base/paths.h"
#include "base/quarantine.h"
#include "base/status_macros.h"
#include "base/temporary_files.h"

namespace crisp::store {

absl::Status RecordDirectory::Write(const std::string& id, const std::string& text) const {
  CRISP_RETURN_IF_ERROR(base::Prefix(base::CheckFileSize(text), "record"));
  const std::string dir = Dir(id);
  CRISP_RETURN_IF_ERROR(base::MakeDirs(dir, 0700));
  base::Failpoint("record: directory made");
  const absl::Status written =
      base::WriteFileAtomic(base::JoinPath(dir, base::kRecordFile), text, 0600);
  // An object that never got a record must not look like one whose record is lost.
  if (!written.ok()) (void)rmdir(dir.c_str());
  return base::Prefix(written, "write record");
}

absl::Status RecordDirectory::Remove(const std::string& id) const {
  return base::Prefix(base::RemoveTree(Dir(id)), "remove record");
}

absl::StatusOr<std::vector<Damaged>> RecordDirectory::Load(
    const std::function<absl::Status(const std::string&, absl::string_view)>& decode) const {
  std::vector<Damaged> damaged;
  const absl::StatusOr<std::vector<std::string>> names = base::ListDir(dir_);
  if (absl::IsNotFound(names.status())) return damaged;  // nothing was written yet
  CRISP_RETURN_IF_ERROR(names.status());
  for (const std::string& name : *names) {
    const std::string path = base::JoinPath(Dir(name), base::kRecordFile);
    base::RemoveTemporaries(path);
    absl::StatusOr<std::string> text = base::ReadFile(path);
    absl::Status status = text.status();
    if (!base::IsId(name)) {
      status = absl::InvalidArgumentError("the directory's name is not an id");
    } else if (text.ok()) {
      status = decode(name, *text);
    }
    if (absl::IsResourceExhausted(status)) return base::Prefix(status, "read record");
    if (!status.ok()) damaged.push_back({.id = name, .why = status});
  }
  return damaged;
}

absl::Status RecordDirectory::SetAside(const Damaged& damaged) const {
  if (absl::IsNotFound(damaged.why)) return Remove(damaged.id);  // there is nothing to look at
  const auto moved = base::MoveToQuarantine(Dir(damaged.id), quarantine_, damaged.id);
  base::LimitQuarantine(quarantine_);
  return moved.status();
}

absl::Status RecordDirectory::Replace(const Damaged& damaged, const std::string& text) const {
  const std::string path = base::JoinPath(Dir(damaged.id), base::kRecordFile);
  if (!absl::IsNotFound(damaged.why)) {
    // Only the record: its directory, without one, tells the next start of the object.
    auto moved = base::MoveToQuarantine(path, quarantine_, damaged.id);
    // A file in the place of the directory.
    if (!moved.ok()) moved = base::MoveToQuarantine(Dir(damaged.id), quarantine_, damaged.id);
    CRISP_RETURN_IF_ERROR(moved.status());
    base::LimitQuarantine(quarantine_);
  }
  CRISP_RETURN_IF_ERROR(base::MakeDirs(Dir(damaged.id), 0700));
  base::RemoveTemporaries(path);
  return base::Prefix(base::WriteFileAtomic(path, text, 0600), "write record");
}

}  // namespace crisp::store
