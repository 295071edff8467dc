// What is done with images: the store, the puller and the layers behind one interface. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "runtime/api.h"
#include "runtime/core.h"

namespace crisp::runtime {

class Images final : public ImageApi {
 public:
  explicit Images(Core& core) : core_(core) {}

  std::vector<image::ImagePtr> List() const override { return core_.images.List(); }
  absl::StatusOr<image::ImagePtr> Find(const std::string& name) const override {
    return core_.images.Find(name);
  }
  absl::StatusOr<image::ImagePtr> Pull(const oci::Reference& reference,
                                       const image::Credentials& credentials,
                                       const base::Call& call) override;
  absl::Status Remove(const image::ImagePtr& image) override;

 private:
  Core& core_;
};

}  // namespace crisp::runtime
