// SHA-256 as a door: the implementation (OpenSSL) belongs to image/, which this directory must not
// link.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/types/span.h"

namespace crisp::snapshot {

class Hasher {
 public:
  virtual ~Hasher() = default;
  virtual void Update(absl::Span<const char> data) = 0;
  // "sha256:<64 hex>" of everything given to Update; called once, last.
  virtual std::string Digest() = 0;
};

// Called from any thread, once per layer.
using HasherFactory = std::function<std::unique_ptr<Hasher>()>;

}  // namespace crisp::snapshot
