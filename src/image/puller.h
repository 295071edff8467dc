// Pulls images: resolve -> manifest -> config -> layers in parallel, streamed into a LayerTarget,
// then published in the ImageStore. Spec: distribution-spec v1.1 (pull), image-spec v1.1.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/call.h"
#include "image/credentials.h"
#include "image/image_store.h"
#include "image/layer_target.h"
#include "image/pull_options.h"
#include "oci/reference.h"

namespace crisp::image {

// The progress of a running pull.
struct LayerProgress {
  oci::Digest digest;
  int64_t bytes_done = 0;
  int64_t bytes_total = 0;  // 0: the manifest does not say
};
struct PullProgress {
  std::string reference;
  std::vector<LayerProgress> layers;  // empty until the manifest is known
};

class Puller {
 public:
  // Borrows `store` and `target`, which must outlive the puller. `after_failure` (may be empty)
  // runs on the pull's thread after a pull has failed and released its leases, so that the caller
  // can delete the layers it had published. Pull() returns the error after that.
  Puller(PullOptions options, ImageStore& store, LayerTarget& target,
         std::function<void()> after_failure);
  // Cancels running pulls and waits for them.
  ~Puller();

  // Always asks the registry; layers that are present are not downloaded. Concurrent calls with
  // equal reference and credentials share one pull; each ends with its own `call`, and the pull is
  // cancelled when its last caller has gone. Pulls of different images never wait for each other.
  // Thread-safe, blocks. Errors, none of which contains
  // a secret: kNotFound (no such manifest, or none for this platform), kUnauthenticated,
  // kPermissionDenied, kUnavailable with a message that begins with "RegistryUnavailable: "
  // (kubelet looks for it at the beginning of an error with gRPC code Unknown: do not prefix it),
  // kResourceExhausted (429), kDataLoss (wrong digest or size), kInvalidArgument (hostile or
  // unsupported documents, bad hosts.toml), kFailedPrecondition (certificates, a server that is not
  // a registry), kDeadlineExceeded, kCancelled, and errors of the LayerTarget.
  absl::StatusOr<ImagePtr> Pull(const oci::Reference& reference, const Credentials& credentials,
                                const base::Call& call);

  std::vector<PullProgress> Progress() const;

 private:
  struct Flight;
  absl::StatusOr<std::shared_ptr<Flight>> Join(const oci::Reference& reference,
                                               const Credentials& credentials);
  void Run(const std::shared_ptr<Flight>& flight);

  const PullOptions options_;
  ImageStore& store_;
  LayerTarget& target_;
  const std::function<void()> after_failure_;

  mutable absl::Mutex mu_;
  std::list<std::shared_ptr<Flight>> flights_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::image
