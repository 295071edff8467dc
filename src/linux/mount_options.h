// Sorts the options of an OCI mount, which are words of mount(8), by the system call that applies
// them: attributes of the mount and propagation (mount_setattr(2)), options of the file system
// (fsconfig(2)). Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace crisp::linux {

// MOUNT_ATTR_* to set and to clear. The access time is a field of several bits: MOUNT_ATTR__ATIME
// is always in `clear` when one of its values is in `set`.
struct MountAttributes {
  uint64_t set = 0;
  uint64_t clear = 0;
  bool empty() const { return set == 0 && clear == 0; }
};

struct MountOptions {
  bool bind = false;         // "bind" or "rbind"
  bool recursive = false;    // "rbind"
  MountAttributes top;       // of the mount itself: "ro", "nosuid", ...
  MountAttributes tree;      // of it and everything mounted below: "rro", "rnosuid", ...
  uint64_t propagation = 0;  // MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, or 0: not given
  bool propagation_recursive = false;
  bool idmap = false;  // "idmap" or "ridmap"
  bool idmap_recursive = false;
  // All other words, in order: {"mode", "755"}; the value is empty for a word without "=".
  std::vector<std::pair<std::string, std::string>> data;
};

MountOptions ParseMountOptions(const std::vector<std::string>& words);

// Attributes as text for messages: "ro,nosuid", in a fixed order.
std::string AttributeWords(uint64_t attributes);

}  // namespace crisp::linux
