// The view of overlayfs on a stack of layer directories, without a mount: whiteouts, opaque and
// merged directories. Used to find files of lower layers while a layer is unpacked, on two of them:
// the layer itself, and the lower layers merged by overlayfs. One thread. The number of look-ups is
// bounded (kResourceExhausted).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace crisp::snapshot {

class MergedTree {
 public:
  struct Node {
    size_t layer;              // index into the stack; 0 is the top
    base::UniqueFd directory;  // O_PATH, of the directory that it is in
    std::string name;
    struct stat info;  // of the link itself if it is one
  };

  // Top-most first. `opaque` (borrowed): the directories of the top that hide all below them. Their
  // attribute cannot be read without CAP_SYS_ADMIN, and the layers below are merged already.
  MergedTree(std::vector<base::UniqueFd> layers, const std::set<ino_t>& opaque,
             uint64_t max_lookups = 4'000'000)
      : layers_(std::move(layers)), opaque_(opaque), max_lookups_(max_lookups) {}

  // `path` is relative; links in it are not followed. With `below_top`, what the top layer has at
  // `path` itself is ignored, unless it is an opaque directory.
  absl::StatusOr<std::optional<Node>> Find(absl::string_view path, bool below_top = false);

  // `path` with all links resolved, as for a process chrooted to the merged tree; components that
  // do not exist are kept. A link as the last component is followed only with `follow_last`.
  absl::StatusOr<std::string> Resolve(absl::string_view path, bool follow_last);

 private:
  struct Directory {
    size_t layer;
    base::UniqueFd fd;
  };
  absl::StatusOr<std::vector<Directory>> Roots();
  absl::Status CountLookup();
  bool IsOpaque(size_t layer, const struct stat& info) const {
    return layer == 0 && opaque_.count(info.st_ino) > 0;
  }

  const std::vector<base::UniqueFd> layers_;
  const std::set<ino_t>& opaque_;
  const uint64_t max_lookups_;
  uint64_t lookups_ = 0;
};

}  // namespace crisp::snapshot
