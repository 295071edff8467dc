#include <cstddef>
#include <cstdint>

#include "streaming/http_head.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crisp::streaming::ParseHttpHead(absl::string_view(reinterpret_cast<const char*>(data), size))
      .IgnoreError();
  return 0;
}
