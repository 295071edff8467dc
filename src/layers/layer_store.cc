#include "layers/layer_store.h"

#include "base/status_macros.h"
#include "image/hasher.h"

namespace crisp::cri {
namespace {

class Sink : public image::LayerSink {
 public:
  explicit Sink(std::unique_ptr<snapshot::LayerWriter> writer) : writer_(std::move(writer)) {}
  absl::Status Write(absl::string_view bytes) override {
    return writer_->Write({bytes.data(), bytes.size()});
  }
  absl::Status Seal() override { return writer_->Seal(); }
  absl::Status Finish() override { return writer_->Finish(); }

 private:
  std::unique_ptr<snapshot::LayerWriter> writer_;
};

class Sha256Hasher : public snapshot::Hasher {
 public:
  void Update(absl::Span<const char> data) override { hasher_.Update({data.data(), data.size()}); }
  std::string Digest() override { return hasher_.Finish().str(); }

 private:
  image::Hasher hasher_{image::Sha256("")};
};

}  // namespace

bool LayerStore::Has(const oci::Digest& chain_id) const { return store_.Has(chain_id.str()); }

absl::StatusOr<std::unique_ptr<image::LayerSink>> LayerStore::Begin(const image::LayerInfo& layer) {
  CRISP_ASSIGN_OR_RETURN(std::unique_ptr<snapshot::LayerWriter> writer,
                         store_.BeginLayer({.chain_id = layer.chain_id.str(),
                                            .parent = layer.parent_chain_id.str(),
                                            .diff_id = layer.diff_id.str()}));
  return std::unique_ptr<image::LayerSink>(std::make_unique<Sink>(std::move(writer)));
}

std::unique_ptr<snapshot::Hasher> NewHasher() { return std::make_unique<Sha256Hasher>(); }

}  // namespace crisp::cri
