#include "cgroup/kept_files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace crisp::cgroup {
namespace {

std::atomic<uint64_t> kept_now{0};

uint64_t MostKept() {
  rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 4 : 0;
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
  static const uint64_t most = MostKept();
  absl::MutexLock lock(&mu_);
  const auto file = std::find_if(files_.begin(), files_.end(),
                                 [&](const auto& kept) { return kept.first == path; });
  if (file != files_.end()) {
    const absl::string_view text = ReadFrom(file->second.get(), buffer);
    if (!text.empty()) return text;
    // ENODEV: the group was removed; it may have been made anew.
    files_.erase(file);
    --kept_now;
  }
  base::UniqueFd fd = OpenFile(path);
  if (!fd.valid()) return "";
  const absl::string_view text = ReadFrom(fd.get(), buffer);
  if (text.empty()) return "";
  if (++kept_now <= most) {
    files_.emplace_back(path, std::move(fd));
  } else {
    --kept_now;
  }
  return text;
}

void KeptFiles::Close() {
  absl::MutexLock lock(&mu_);
  kept_now -= files_.size();
  files_.clear();
}

}  // namespace crisp::cgroup
