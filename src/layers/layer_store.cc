#include "layers/layer_store.h"

#include "base/status_macros.h"

namespace crisp::layers {
namespace {

class Sink : public image::LayerSink {
 public:
  explicit Sink(std::unique_ptr<snapshot::LayerWriter> writer) : writer_(std::move(writer)) {}
  absl::Status Write(absl::string_view bytes) override {
    return writer_->Write({bytes.data(), bytes.size()});
  }
  absl::Status Seal() override { return writer_->Seal(); }
  bool WaitsForParent() const override { return writer_->WaitsForParent(); }
  absl::Status Finish() override { return writer_->Finish(); }
  void Abandon() override { writer_->Abandon(); }

 private:
  std::unique_ptr<snapshot::LayerWriter> writer_;
};

}  // namespace

bool LayerStore::Has(const oci::ChainId& chain_id) const { return store_.Has(chain_id); }

absl::StatusOr<std::unique_ptr<image::LayerSink>> LayerStore::Begin(const image::LayerInfo& layer) {
  CRISP_ASSIGN_OR_RETURN(std::unique_ptr<snapshot::LayerWriter> writer,
                         store_.BeginLayer({.chain_id = layer.chain_id,
                                            .parent = layer.parent_chain_id,
                                            .diff_id = layer.diff_id.str()}));
  return std::unique_ptr<image::LayerSink>(std::make_unique<Sink>(std::move(writer)));
}

}  // namespace crisp::layers
