#include "cli/reporter.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/play_records.h"

namespace crisp::cli {

Reporter::Reporter(std::string path, int listener) : path_(std::move(path)), listener_(listener) {
  if (listener_ >= 0) (void)fcntl(listener_, F_SETFL, O_NONBLOCK);
}

void Reporter::Tell(const PodReport& report) {
  const std::string text = EncodePodReport(report);
  if (text == last_) return;
  last_ = text;
  const absl::Status written = base::WriteFileAtomic(path_, text, 0600);
  if (!written.ok())
    base::Log(base::LogLevel::kError, "the status cannot be written",
              {{"error", std::string(written.message())}});
  // A full pipe has earlier bytes, which say the same; one that nobody reads needs none.
  if (listener_ >= 0) (void)!write(listener_, "", 1);
}

}  // namespace crisp::cli
