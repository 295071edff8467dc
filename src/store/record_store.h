// Records on disk: <dir>/<id>/record.json, one file per object, replaced atomically. Survives the
// death of crispd at any instant (the rename is the commit). It is not synced: after a power cut no
// container of the node runs any more, and a record that came back empty is quarantined by Load
// while its id still tells what to clean up.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/paths.h"
#include "store/record_codec.h"

namespace crisp::store {

// An object whose record could not be read; its directory was moved to the quarantine. kNotFound:
// it has none, because its first write or its removal was cut short; the directory was removed.
struct Damaged {
  std::string id;
  absl::Status why;
};

// One directory of records. Thread-safe as long as one object is written by one thread at a time.
class RecordDirectory {
 public:
  RecordDirectory(std::string dir, std::string quarantine)
      : dir_(std::move(dir)), quarantine_(std::move(quarantine)) {}

  // Makes the directories that are missing (0700).
  absl::Status Write(const std::string& id, const std::string& text) const;
  // Removes the object's directory with all in it; a missing one is OK.
  absl::Status Remove(const std::string& id) const;
  std::string Dir(const std::string& id) const { return base::JoinPath(dir_, id); }

  // Calls `decode(text)` for every record; directories whose record does not decode go to the
  // quarantine, which keeps the newest (base/quarantine.h), and are returned. An error when the
  // records cannot be read at all, or not now (kResourceExhausted, out of descriptors or memory,
  // from `decode` too): a record that was not read must not count as damaged.
  absl::StatusOr<std::vector<Damaged>> Load(
      const std::function<absl::Status(const std::string& id, absl::string_view)>& decode) const;

 private:
  std::string dir_;
  std::string quarantine_;
};

}  // namespace crisp::store
