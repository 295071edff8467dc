// The output of a CNI plugin: a result, which must parse again as prevResult, or an error.
#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>

#include "cni/result.h"

namespace cni = crisp::cni;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const std::optional<cni::PluginError> error = cni::ParsePluginError(text)) {
    if (error->code == 0) __builtin_trap();
    for (const char c : error->message) {
      if (c < 0x20 || c > 0x7e) __builtin_trap();
    }
  }
  const absl::StatusOr<cni::Result> result = cni::ParseResult(text, "1.0.0");
  if (!result.ok()) return 0;
  for (const std::string& ip : result->ips) {
    in6_addr address;
    if (inet_pton(AF_INET, ip.c_str(), &address) != 1 &&
        inet_pton(AF_INET6, ip.c_str(), &address) != 1) {
      __builtin_trap();
    }
  }
  const absl::StatusOr<cni::Result> again = cni::ParseResult(result->json, "1.0.0");
  if (!again.ok() || again->ips != result->ips || again->json != result->json) __builtin_trap();
  return 0;
}
