#include "rpc/grpc_events.h"

#include "rpc/status_codes.h"

namespace crisp::rpc {
namespace {

// Lives until gRPC's OnDone, which follows Finish. The queue calls back only before Finish, so it
// never calls a stream that is deleted.
class EventStream final : public grpc::ServerWriteReactor<::runtime::v1::ContainerEventResponse> {
 public:
  explicit EventStream(events::Hub& hub)
      : hub_(hub),
        queue_(std::make_shared<events::Queue>(
            [this](events::Event event) {
              sending_ = std::move(event);
              StartWrite(sending_.get());
            },
            [this](const absl::Status& why) {
              const WireStatus wire = ToWire(why);
              Finish(grpc::Status(static_cast<grpc::StatusCode>(wire.code), wire.message));
            })) {
    const absl::Status subscribed = hub_.Subscribe(queue_);
    if (!subscribed.ok()) queue_->Close(subscribed);
    StartSendInitialMetadata();
  }

 private:
  void OnSendInitialMetadataDone(bool ok) override { Sent(ok); }
  void OnWriteDone(bool ok) override { Sent(ok); }
  // The queue may call Finish, after which this may be deleted: hence the copies.
  void OnCancel() override {
    const std::shared_ptr<events::Queue> queue = queue_;
    queue->Close(absl::CancelledError("client is gone"));
  }
  void OnDone() override {
    hub_.Unsubscribe(queue_);
    delete this;
  }

  void Sent(bool ok) {
    const std::shared_ptr<events::Queue> queue = queue_;
    sending_.reset();
    if (!ok) queue->Close(absl::CancelledError("client is gone"));
    queue->Delivered();
  }

  events::Hub& hub_;
  const std::shared_ptr<events::Queue> queue_;
  events::Event sending_;
};

}  // namespace

grpc::ServerWriteReactor<::runtime::v1::ContainerEventResponse>* NewEventStream(events::Hub& hub) {
  return new EventStream(hub);
}

}  // namespace crisp::rpc
