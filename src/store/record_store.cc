#include "store/record_store.h"

#include <unistd.h>

#include "base/errno.h"
#include "base/failpoint.h"
#include "base/paths.h"
#include "base/quarantine.h"
#include "base/status_macros.h"

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
    absl::StatusOr<std::string> text = base::ReadFile(base::JoinPath(Dir(name), base::kRecordFile));
    absl::Status status = text.status();
    if (!base::IsId(name)) {
      status = absl::InvalidArgumentError("the directory's name is not an id");
    } else if (text.ok()) {
      status = decode(name, *text);
    }
    if (status.ok()) continue;
    if (absl::IsResourceExhausted(status)) return base::Prefix(status, "read record");
    damaged.push_back({.id = name, .why = status});
  }
  // Only after all could be read: when one cannot be, the start fails, and the next start must find
  // the damaged ones again.
  for (Damaged& each : damaged) {
    if (absl::IsNotFound(each.why)) {  // there is nothing to quarantine
      (void)Remove(each.id);
      continue;
    }
    const auto moved = base::MoveToQuarantine(Dir(each.id), quarantine_, each.id);
    if (!moved.ok()) each.why = moved.status();
  }
  base::LimitQuarantine(quarantine_);
  return damaged;
}

}  // namespace crisp::store
