#include "base/check.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace crisp::base {

void CheckFailed(const char* file, int line, const char* condition) {
  Log(LogLevel::kError, "check failed",
      {{"at", absl::StrCat(file, ":", line)}, {"condition", condition}});
  abort();
}

}  // namespace crisp::base
