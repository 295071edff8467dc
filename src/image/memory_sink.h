// Keeps a blob in memory: an image's config, the document of an artifact.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "image/layer_target.h"

namespace crisp::image {

// Used by one thread. kInvalidArgument for more than `max_bytes`.
class MemorySink final : public LayerSink {
 public:
  // Borrows `bytes`, whose content goes.
  MemorySink(std::string& bytes, size_t max_bytes) : bytes_(bytes), max_bytes_(max_bytes) {
    bytes_.clear();
  }
  absl::Status Write(absl::string_view bytes) override {
    if (bytes.size() > max_bytes_ - bytes_.size())
      return absl::InvalidArgumentError(absl::StrCat("longer than ", max_bytes_, " bytes"));
    bytes_.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  absl::Status Seal() override { return absl::OkStatus(); }
  absl::Status Finish() override { return absl::OkStatus(); }

 private:
  std::string& bytes_;
  const size_t max_bytes_;
};

}  // namespace crisp::image
