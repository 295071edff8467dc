// The files that WriteFileAtomic (base/file.h) renames into place. A writer that is killed before
// that leaves one, with a name that no later writer uses; so whoever owns the place removes them at
// start. Thread-safe: no shared state.
#pragma once

#include <string>

namespace crisp::base {

// What follows the path of a file in the name of its temporary file, before random digits.
inline constexpr char kTemporaryMark[] = ".tmp-";

// Removes the temporary files of `path`, which nobody may be writing now. What cannot be removed,
// as on a read-only disk, stays for the next call.
void RemoveTemporaries(const std::string& path);

}  // namespace crisp::base
