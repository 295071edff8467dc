#include "snapshot/merged_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <deque>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "snapshot/tree_metadata.h"

namespace crisp::snapshot {
namespace {

constexpr int kMaxLinks = 40;

std::vector<std::string> Names(absl::string_view path) {
  return absl::StrSplit(path, '/', absl::SkipEmpty());
}

}  // namespace

absl::Status MergedTree::CountLookup() {
  if (++lookups_ <= max_lookups_) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the layer needs more than ", max_lookups_, " look-ups in lower layers"));
}

absl::StatusOr<std::vector<MergedTree::Directory>> MergedTree::Roots() {
  std::vector<Directory> roots;
  for (size_t i = 0; i < layers_.size(); ++i) {
    base::UniqueFd fd(openat(layers_[i].get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return base::Errno("open layer", "");
    struct stat info;
    if (fstat(fd.get(), &info) != 0) return base::Errno("stat layer", "");
    roots.push_back({i, std::move(fd)});
    if (IsOpaque(i, info)) break;
  }
  return roots;
}

absl::StatusOr<std::optional<MergedTree::Node>> MergedTree::Find(absl::string_view path,
                                                                 bool below_top) {
  CRISP_ASSIGN_OR_RETURN(std::vector<Directory> directories, Roots());
  const std::vector<std::string> names = Names(path);
  if (names.empty()) return absl::InvalidArgumentError("empty path");
  for (size_t depth = 0; depth < names.size(); ++depth) {
    const bool last = depth + 1 == names.size();
    std::vector<Directory> next;
    for (Directory& directory : directories) {
      CRISP_RETURN_IF_ERROR(CountLookup());
      constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
      base::UniqueFd fd(openat(directory.fd.get(), names[depth].c_str(), kFlags));
      if (!fd.valid() && errno == ENOENT) continue;
      if (!fd.valid()) return base::Errno("open", path);
      struct stat info;
      if (fstat(fd.get(), &info) != 0) return base::Errno("stat", path);
      const bool passed_over = last && below_top && directory.layer == 0;
      if (IsWhiteout(info)) {
        if (passed_over) continue;
        break;
      }
      if (last && !passed_over) {
        return Node{directory.layer, std::move(directory.fd), names[depth], info};
      }
      if (!S_ISDIR(info.st_mode)) {
        if (passed_over) continue;
        break;  // hides lower layers
      }
      next.push_back({directory.layer, std::move(fd)});
      if (IsOpaque(directory.layer, info)) break;
    }
    if (next.empty()) return std::optional<Node>();
    directories = std::move(next);
  }
  return std::optional<Node>();  // only the top layer has it
}

absl::StatusOr<std::string> MergedTree::Resolve(absl::string_view path, bool follow_last) {
  const std::vector<std::string> names = Names(path);
  std::deque<std::string> todo(names.begin(), names.end());
  std::vector<std::string> done;
  int links = 0;
  while (!todo.empty()) {
    const std::string name = std::move(todo.front());
    todo.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(name);
    if (todo.empty() && !follow_last) break;
    CRISP_ASSIGN_OR_RETURN(const std::optional<Node> node, Find(absl::StrJoin(done, "/")));
    if (!node.has_value() || !S_ISLNK(node->info.st_mode)) continue;
    if (++links > kMaxLinks) return base::Errno("resolve", path, ELOOP);
    char target[PATH_MAX];
    const ssize_t size =
        readlinkat(node->directory.get(), node->name.c_str(), target, sizeof(target));
    if (size < 0) return base::Errno("readlink", path);
    const absl::string_view text(target, static_cast<size_t>(size));
    done.pop_back();
    if (absl::StartsWith(text, "/")) done.clear();
    const std::vector<std::string> more = Names(text);
    todo.insert(todo.begin(), more.begin(), more.end());
  }
  return absl::StrJoin(done, "/");
}

}  // namespace crisp::snapshot
