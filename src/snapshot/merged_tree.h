// What overlayfs would show for a stack of layer directories, without mounting it: whiteouts,
// opaque directories, merged directories. Used to look from a layer into the layers below. One
// thread. Lookups are bounded in number: kResourceExhausted.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
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
    size_t layer;       // index into the stack; 0 is the top
    base::UniqueFd fd;  // O_PATH, the link itself if it is one
    struct stat info;
  };

  // Top-most first.
  explicit MergedTree(std::vector<base::UniqueFd> layers) : layers_(std::move(layers)) {}

  // `path` is relative and every component is taken as it is: nothing behind a link. With
  // `below_top`, a directory (unless opaque) or whiteout that the top layer has under that very
  // name is passed over.
  absl::StatusOr<std::optional<Node>> Find(absl::string_view path, bool below_top = false);

  // The path without links that a process chrooted to the merged tree would end at when it opens
  // `path`; parts that do not exist are kept. A link as last component is followed only if asked.
  absl::StatusOr<std::string> Resolve(absl::string_view path, bool follow_last);

 private:
  struct Directory {
    size_t layer;
    base::UniqueFd fd;
  };
  absl::StatusOr<std::vector<Directory>> Roots();
  absl::Status CountLookup();

  const std::vector<base::UniqueFd> layers_;
  uint64_t lookups_ = 0;
};

}  // namespace crisp::snapshot
