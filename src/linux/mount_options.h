// The words of mount(8), as an OCI mount carries them, sorted into what the mount API takes apart:
// attributes of the mount (mount_setattr(2)), propagation, and options of the file system
// (fsconfig(2)). Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace crisp::linux {

// MOUNT_ATTR_* to set and to clear; an access time mode is always cleared whole (MOUNT_ATTR__ATIME)
// before it is set.
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
  uint64_t propagation = 0;  // MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, or 0 when not said
  bool propagation_recursive = false;
  bool idmap = false;  // "idmap" or "ridmap"
  bool idmap_recursive = false;
  // Everything else, in order: {"mode", "755"}; an empty value is a word alone.
  std::vector<std::pair<std::string, std::string>> data;
};

MountOptions ParseMountOptions(const std::vector<std::string>& words);

// For people: "ro,nosuid" in a fixed order.
std::string AttributeWords(uint64_t attributes);

}  // namespace crisp::linux
