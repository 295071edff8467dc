#include "shim/facts.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace crisp::shim {
namespace {

absl::Status WriteFact(int bundle_fd, const char* name, absl::string_view text) {
  const std::string aside = absl::StrCat(name, ".new");
  CRISP_ASSIGN_OR_RETURN(
      const base::UniqueFd fd,
      base::OpenAt(bundle_fd, aside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  CRISP_RETURN_IF_ERROR(base::WriteAll(fd.get(), text));
  if (renameat(bundle_fd, aside.c_str(), bundle_fd, name) != 0) return base::Errno("rename", name);
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteInit(int bundle_fd, const ::shim::v1::Started& started) {
  std::string text = absl::StrCat(
      "{\"pid\":", started.pid(), ",\"start_ticks\":", started.start_ticks(),
      ",\"started_at_ns\":", started.started_at_ns(), ",\"shim_pid\":", started.shim_pid(),
      ",\"shim_start_ticks\":", started.shim_start_ticks(), ",\"phases\":[");
  const char* separator = "";
  for (const ::shim::v1::Phase& phase : started.phases()) {
    // Names are literals of ours: nothing to escape.
    absl::StrAppend(&text, separator, "{\"name\":\"", phase.name(),
                    "\",\"duration_ns\":", phase.duration_ns(), "}");
    separator = ",";
  }
  absl::StrAppend(&text, "]}\n");
  return WriteFact(bundle_fd, base::kInitFile, text);
}

absl::Status WriteExit(int bundle_fd, const ExitRecord& record) {
  char text[256];
  const int size =
      snprintf(text, sizeof(text), "{\"exit_code\":%d,\"oom_killed\":%s,\"finished_at_ns\":%lld}\n",
               record.exit_code, record.oom_killed ? "true" : "false",
               static_cast<long long>(record.finished_at_ns));
  return WriteFact(bundle_fd, base::kExitFile, absl::string_view(text, static_cast<size_t>(size)));
}

}  // namespace crisp::shim
