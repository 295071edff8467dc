#include "cgroup/kept_files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace crisp::cgroup {
namespace {

// The kernel gives the lowest number that is free, so a low one means that there are others.
bool IsLow(int fd) {
  static const uint64_t half = [] {
    rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 2 : 0;
  }();
  return static_cast<uint64_t>(fd) < half;
}

absl::string_view ReadFrom(int fd, absl::Span<char> buffer) {
  const ssize_t n = pread(fd, buffer.data(), buffer.size(), 0);
  return n <= 0 ? absl::string_view() : absl::string_view(buffer.data(), static_cast<size_t>(n));
}

base::UniqueFd OpenFile(absl::string_view path) {
  return base::UniqueFd(open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

absl::string_view ReadOnce(absl::string_view path, absl::Span<char> buffer) {
  const base::UniqueFd fd = OpenFile(path);
  return fd.valid() ? ReadFrom(fd.get(), buffer) : absl::string_view();
}

absl::string_view KeptFiles::Read(absl::string_view path, absl::Span<char> buffer) {
  absl::MutexLock lock(&mu_);
  const auto file = std::find_if(files_.begin(), files_.end(),
                                 [&](const auto& kept) { return kept.first == path; });
  if (file != files_.end()) {
    const absl::string_view text = ReadFrom(file->second.get(), buffer);
    if (!text.empty()) return text;
    // ENODEV: the group was removed; it may have been made anew.
    files_.erase(file);
  }
  base::UniqueFd fd = OpenFile(path);
  if (!fd.valid()) return "";
  const absl::string_view text = ReadFrom(fd.get(), buffer);
  if (text.empty()) return "";
  if (IsLow(fd.get())) files_.emplace_back(path, std::move(fd));
  return text;
}

void KeptFiles::Close() {
  absl::MutexLock lock(&mu_);
  files_.clear();
}

}  // namespace crisp::cgroup
