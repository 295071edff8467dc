#include "service/journal.h"

// The journal would take the place of each call below for that of the entry.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/printable.h"

namespace crisp::service {
namespace {

int Priority(base::LogLevel level) {
  switch (level) {
    case base::LogLevel::kDebug:
      return LOG_DEBUG;
    case base::LogLevel::kInfo:
      return LOG_INFO;
    case base::LogLevel::kWarning:
      return LOG_WARNING;
    case base::LogLevel::kError:
      return LOG_ERR;
  }
  return LOG_INFO;
}

}  // namespace

bool StderrIsJournal() {
  const char* const stream = getenv("JOURNAL_STREAM");
  struct stat info;
  if (stream == nullptr || fstat(STDERR_FILENO, &info) != 0) return false;
  return stream == absl::StrCat(info.st_dev, ":", info.st_ino);
}

std::vector<std::string> JournalFields(base::LogLevel level, const std::string& text,
                                       std::initializer_list<base::LogField> fields) {
  std::vector<std::string> all = {absl::StrCat("MESSAGE=", text),
                                  absl::StrCat("PRIORITY=", Priority(level)),
                                  "SYSLOG_IDENTIFIER=crispd"};
  for (const auto& [key, value] : fields) {
    // Capital letters, digits and underscores are all that the name of a field may have.
    const std::string name = absl::AsciiStrToUpper(absl::StrReplaceAll(key, {{"-", "_"}}));
    all.push_back(absl::StrCat("CRISP_", name, "=", base::Printable(value)));
  }
  return all;
}

bool SendToJournal(base::LogLevel level, const std::string& text,
                   std::initializer_list<base::LogField> fields) {
  std::vector<std::string> all = JournalFields(level, text, fields);
  std::vector<iovec> parts;
  for (std::string& field : all)
    parts.push_back({.iov_base = field.data(), .iov_len = field.size()});
  return sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) == 0;
}

}  // namespace crisp::service
