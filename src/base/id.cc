#include "base/id.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/escaping.h"

namespace crisp::base {

std::string NewId() {
  char bytes[32];
  // getrandom(2) never returns fewer than 256 bytes once the kernel's pool is initialised.
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) abort();
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

bool IsId(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace crisp::base
