// Whether a runtime answers short calls, as kubelet makes them all the time.
#pragma once

#include "absl/status/status.h"
#include "base/deadline.h"
#include "client/cri_client.h"

namespace crisp::client {

// Asks for the version, the pods and the containers. That needs what every short call needs: a
// connection that is read, a thread, a place among the calls, and the locks of all pods and
// containers. A refusal is an answer, too: a runtime that has no thread to spare works, and to
// start it again would give it none. kUnavailable without an answer by the deadline.
// Thread-safe; a client that has called before needs no new descriptor for it.
absl::Status Answers(CriClient& client, base::Deadline deadline);

}  // namespace crisp::client
