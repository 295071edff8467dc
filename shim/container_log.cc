#include "shim/container_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/clock.h"

namespace crisp::shim {
namespace {

struct Header {
  char text[64];
  size_t size = 0;
};

// Days since 1970 to a Gregorian date. Not gmtime_r: glibc's reads /etc/localtime and allocates.
void CivilDate(int64_t days, int& year, int& month, int& day) {
  const int64_t shifted = days + 719'468;  // since 0000-03-01, so that leap days end a year
  const int64_t era = shifted / 146'097;
  const int64_t day_of_era = shifted % 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  year = static_cast<int>(era * 400 + year_of_era + (month <= 2 ? 1 : 0));
}

Header MakeHeader(int64_t now_ns, Stream stream, char tag) {
  const int64_t seconds = now_ns / 1'000'000'000;
  int year, month, day;
  CivilDate(seconds / 86'400, year, month, day);
  const int in_day = static_cast<int>(seconds % 86'400);
  Header header;
  header.size = static_cast<size_t>(snprintf(
      header.text, sizeof(header.text), "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ %s %c ", year, month,
      day, in_day / 3600, in_day / 60 % 60, in_day % 60, static_cast<int>(now_ns % 1'000'000'000),
      stream == Stream::kStdout ? "stdout" : "stderr", tag));
  return header;
}

}  // namespace

// Lines that are written by one writev(2), so that a reader of the file never sees a line without
// its header. All carry the time at which the batch was begun.
class ContainerLog::Batch {
 public:
  Batch(ContainerLog& log, Stream stream) : log_(log) {
    const int64_t now_ns = base::WallNanos();
    full_ = MakeHeader(now_ns, stream, 'F');
    partial_ = MakeHeader(now_ns, stream, 'P');
  }
  ~Batch() { Flush(); }

  // `text` ends with its newline.
  void AddFull(const char* text, size_t size) {
    Add(full_.text, full_.size);
    Add(text, size);
    EndLine(full_.size + size);
  }
  void AddPartial(const char* text, size_t size) {
    Add(partial_.text, partial_.size);
    Add(text, size);
    Add("\n", 1);
    EndLine(partial_.size + size + 1);
  }

 private:
  static constexpr size_t kMaxLines = 64;

  void Add(const char* data, size_t size) {
    parts_[part_count_++] = {.iov_base = const_cast<char*>(data), .iov_len = size};
  }

  void EndLine(size_t size) {
    sizes_[line_count_++] = size;
    if (line_count_ == kMaxLines) Flush();
  }

  void Flush() {
    if (line_count_ == 0) return;
    ssize_t n;
    do {
      n = writev(log_.file_.get(), parts_, static_cast<int>(part_count_));
    } while (n < 0 && errno == EINTR);
    size_t written = n < 0 ? 0 : static_cast<size_t>(n);
    size_t line = 0;
    while (line < line_count_ && written >= sizes_[line]) written -= sizes_[line++];
    if (line < line_count_ && written > 0) CutOff(written);
    line_count_ = part_count_ = 0;
  }

  // Removes the beginning of a line whose end did not fit on the disk.
  void CutOff(size_t size) {
    const off_t end = lseek(log_.file_.get(), 0, SEEK_CUR);
    if (end >= static_cast<off_t>(size))
      (void)!ftruncate(log_.file_.get(), end - static_cast<off_t>(size));
  }

  ContainerLog& log_;
  Header full_;
  Header partial_;
  iovec parts_[kMaxLines * 3];
  size_t sizes_[kMaxLines];
  size_t part_count_ = 0;
  size_t line_count_ = 0;
};

base::UniqueFd ContainerLog::OpenFile() const {
  const size_t slash = path_.rfind('/');
  if (slash == std::string::npos || slash + 1 == path_.size()) {
    errno = EINVAL;
    return base::UniqueFd();
  }
  const base::UniqueFd directory(
      open(path_.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return base::UniqueFd();
  // O_NONBLOCK: if there is a FIFO at the path, open(2) would wait for its reader.
  base::UniqueFd file(
      openat(directory.get(), path_.c_str() + slash + 1,
             O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640));
  struct stat info;
  if (file.valid() && fstat(file.get(), &info) == 0 && !S_ISREG(info.st_mode)) {
    file.reset();
    errno = EINVAL;
  }
  return file;
}

bool ContainerLog::Open(const std::string& path) {
  path_ = path;
  return Reopen();
}

bool ContainerLog::Reopen() {
  if (path_.empty()) return true;
  base::UniqueFd file = OpenFile();
  if (!file.valid()) return false;
  file_ = std::move(file);
  return true;
}

size_t ContainerLog::Write(Stream stream, const char* data, size_t size, bool at_end) {
  if (!file_.valid()) return size;
  Batch batch(*this, stream);
  size_t done = 0;
  while (done < size) {
    const char* begin = data + done;
    const size_t left = size - done;
    const size_t window = left < kMaxLine + 1 ? left : kMaxLine + 1;
    const char* newline = static_cast<const char*>(memchr(begin, '\n', window));
    if (newline != nullptr) {
      const size_t length = static_cast<size_t>(newline - begin) + 1;
      batch.AddFull(begin, length);
      done += length;
    } else if (left > kMaxLine) {
      batch.AddPartial(begin, kMaxLine);
      done += kMaxLine;
    } else if (at_end) {
      batch.AddPartial(begin, left);
      done = size;
    } else {
      break;
    }
  }
  return done;
}

}  // namespace crisp::shim
