#include "cli/log_follow.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::cli {
namespace {

bool IsSameFile(int fd, const std::string& path) {
  struct stat own, named;
  return fstat(fd, &own) == 0 && stat(path.c_str(), &named) == 0 && own.st_ino == named.st_ino;
}

}  // namespace

LogFollower::LogFollower(std::string directory, std::vector<std::string> names, bool has_colors)
    : directory_(std::move(directory)), format_(names, has_colors) {
  for (std::string& name : names) sources_.emplace_back().name = std::move(name);
}

absl::StatusOr<LogFollower> LogFollower::Open(const std::string& directory,
                                              std::vector<std::string> names, bool has_colors) {
  LogFollower follower(directory, std::move(names), has_colors);
  CRISP_RETURN_IF_ERROR(base::MakeDirs(directory, 0755));
  follower.inotify_ = base::UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!follower.inotify_.valid()) return base::Errno("inotify", "");
  CRISP_RETURN_IF_ERROR(follower.Watch());
  return follower;
}

absl::Status LogFollower::Watch() {
  if (inotify_add_watch(inotify_.get(), directory_.c_str(), IN_CREATE) < 0 && errno != ENOENT)
    return base::Errno("watch", directory_);
  for (const Source& source : sources_) {
    const std::string path = base::JoinPath(directory_, source.name);
    // Adding a watch that is there already changes nothing.
    if (inotify_add_watch(inotify_.get(), path.c_str(), IN_CREATE | IN_MODIFY) < 0 &&
        errno != ENOENT)
      return base::Errno("watch", path);
  }
  return absl::OkStatus();
}

bool LogFollower::OpenNext(Source& source) const {
  const std::string directory = base::JoinPath(directory_, source.name);
  const absl::StatusOr<std::vector<std::string>> names = base::ListDir(directory);
  if (!names.ok()) return false;
  int64_t next = INT64_MAX;
  for (absl::string_view name : *names) {
    const std::string path = base::JoinPath(directory, name);
    int64_t attempt = 0;
    if (!absl::ConsumeSuffix(&name, ".log") || !absl::SimpleAtoi(name, &attempt)) continue;
    const bool is_rotated = attempt == source.attempt && !IsSameFile(source.file.get(), path);
    if (attempt > source.attempt || is_rotated) next = std::min(next, attempt);
  }
  if (next == INT64_MAX) return false;
  absl::StatusOr<base::UniqueFd> file =
      base::Open(base::JoinPath(directory, absl::StrCat(next, ".log")), O_RDONLY);
  if (!file.ok()) return false;  // removed meanwhile
  source.attempt = next;
  source.next = *std::move(file);
  return true;
}

absl::Status LogFollower::ReadSource(size_t index, std::string& out) {
  // A container may write as fast as this reads.
  constexpr int kMaxReads = 64;
  Source& source = sources_[index];
  char buffer[16384];
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t n = source.file.valid() ? read(source.file.get(), buffer, sizeof(buffer)) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::Errno("read", absl::StrCat("log of ", source.name));
    if (n == 0 && source.next.valid()) {
      source.file = std::move(source.next);
      source.rest.clear();  // the end of a line that was never written
      continue;
    }
    // The end counts once the next file is there: until then there may be more.
    if (n == 0 && !OpenNext(source)) return absl::OkStatus();
    if (n == 0) continue;
    source.rest.append(buffer, static_cast<size_t>(n));
    size_t from = 0;
    for (size_t end = source.rest.find('\n'); end != source.rest.npos;
         end = source.rest.find('\n', from)) {
      out += format_.Format(index, absl::string_view(source.rest).substr(from, end - from));
      from = end + 1;
    }
    source.rest.erase(0, from);
  }
  has_more_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::string> LogFollower::Read() {
  // Watched before it is read: what comes in between is an event, so that nothing is missed.
  char events[4096];
  while (read(inotify_.get(), events, sizeof(events)) > 0) {
  }
  CRISP_RETURN_IF_ERROR(Watch());
  has_more_ = false;
  std::string out;
  for (size_t i = 0; i < sources_.size(); ++i) CRISP_RETURN_IF_ERROR(ReadSource(i, out));
  return out;
}

}  // namespace crisp::cli
