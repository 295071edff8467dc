// GetContainerEvents over gRPC's callback interface: an open stream costs no thread, and a client
// that goes away is noticed at once.
#pragma once

#include <grpcpp/grpcpp.h>

#include "events/hub.h"
#include "runtime/v1/api.pb.h"

namespace crisp::rpc {

// Subscribes; the stream deletes itself when gRPC is done with it. Its initial metadata says that
// every event from now on is sent.
grpc::ServerWriteReactor<::runtime::v1::ContainerEventResponse>* NewEventStream(events::Hub& hub);

}  // namespace crisp::rpc
