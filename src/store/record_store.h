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

// An object whose record could not be read. kNotFound: it has none, because its first write or its
// removal was cut short.
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

  // At start. Calls `decode(text)` for every record and returns those that do not decode. They stay
  // where they are, so that a later start finds them again if this one does not get to SetAside()
  // or Replace(). An error when the records cannot be read at all, or not now (kResourceExhausted,
  // out of descriptors or memory, from `decode` too): a record that was not read must not count as
  // damaged.
  absl::StatusOr<std::vector<Damaged>> Load(
      const std::function<absl::Status(const std::string& id, absl::string_view)>& decode) const;
  // Moves the directory of a damaged record to the quarantine, which keeps the newest
  // (base/quarantine.h); one without a record is removed. To be called once all that the record
  // was about is given back.
  absl::Status SetAside(const Damaged& damaged) const;
  // Makes a new record in the place of a damaged one, which goes to the quarantine. Cut short at
  // any moment, it leaves one that Load() calls damaged, or the new one.
  absl::Status Replace(const Damaged& damaged, const std::string& text) const;

 private:
  std::string dir_;
  std::string quarantine_;
};

}  // namespace crisp::store
