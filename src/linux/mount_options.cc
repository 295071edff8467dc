#include "linux/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace crisp::linux {
namespace {

struct AttributeWord {
  absl::string_view name;
  uint64_t set;
  uint64_t clear;
};

// With an "r" in front ("rro") each of these applies to the whole tree.
constexpr AttributeWord kAttributeWords[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

struct PropagationWord {
  absl::string_view name;
  uint64_t type;
};

constexpr PropagationWord kPropagationWords[] = {{"private", MS_PRIVATE},
                                                 {"shared", MS_SHARED},
                                                 {"slave", MS_SLAVE},
                                                 {"unbindable", MS_UNBINDABLE}};

template <typename Word, size_t N>
const Word* Find(const Word (&words)[N], absl::string_view name) {
  const Word* found = std::find_if(std::begin(words), std::end(words),
                                   [name](const Word& word) { return word.name == name; });
  return found == std::end(words) ? nullptr : found;
}

void Add(const AttributeWord& word, MountAttributes& attributes) {
  attributes.set = (attributes.set & ~word.clear) | word.set;
  attributes.clear |= word.clear;
  // A later word wins over an earlier one: "ro" then "rw" clears, "rw" then "ro" sets.
  if ((word.clear & MOUNT_ATTR__ATIME) == 0) attributes.clear &= ~word.set;
}

bool ParseAttribute(absl::string_view word, MountOptions& options) {
  if (const AttributeWord* found = Find(kAttributeWords, word); found != nullptr) {
    Add(*found, options.top);
    return true;
  }
  if (word.substr(0, 1) != "r") return false;
  const AttributeWord* found = Find(kAttributeWords, word.substr(1));
  if (found == nullptr) return false;
  Add(*found, options.tree);
  return true;
}

bool ParsePropagation(absl::string_view word, MountOptions& options) {
  const PropagationWord* found = Find(kPropagationWords, word);
  options.propagation_recursive = found == nullptr;
  if (found == nullptr && word.substr(0, 1) == "r") found = Find(kPropagationWords, word.substr(1));
  if (found == nullptr) return false;
  options.propagation = found->type;
  return true;
}

}  // namespace

MountOptions ParseMountOptions(const std::vector<std::string>& words) {
  MountOptions options;
  for (const std::string& word : words) {
    if (word.empty() || word == "defaults") continue;
    if (word == "bind" || word == "rbind") {
      options.bind = true;
      options.recursive = word == "rbind";
    } else if (word == "idmap" || word == "ridmap") {
      options.idmap = true;
      options.idmap_recursive = word == "ridmap";
    } else if (!ParseAttribute(word, options) && !ParsePropagation(word, options)) {
      const size_t equals = word.find('=');
      options.data.emplace_back(word.substr(0, equals),
                                equals == std::string::npos ? "" : word.substr(equals + 1));
    }
  }
  return options;
}

std::string AttributeWords(uint64_t attributes) {
  std::string words;
  for (const AttributeWord& word : kAttributeWords) {
    if (word.set == 0 || (attributes & word.set) != word.set) continue;
    if (word.name == "norelatime") continue;  // the same as strictatime
    absl::StrAppend(&words, words.empty() ? "" : ",", word.name);
  }
  return words;
}

}  // namespace crisp::linux
