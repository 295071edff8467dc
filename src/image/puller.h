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
#include "image/credentials.h"
#include "image/image_store.h"
#include "image/layer_target.h"
#include "image/pull_context.h"
#include "image/pull_options.h"
#include "oci/reference.h"

namespace crisp::image {

// A look at a running pull.
struct LayerProgress {
  oci::Digest digest;
  int64_t bytes_done = 0;
  int64_t bytes_total = 0;
};
struct PullProgress {
  std::string reference;
  std::vector<LayerProgress> layers;  // empty until the manifest is known
};

class Puller {
 public:
  // Borrows both; they outlive the puller. `after_failure` (may be empty) runs on the pull's own
  // thread when a pull ended without an image and holds no layer any more: those it put in place
  // are nobody's now. Callers who still wait hear of the failure after that.
  Puller(PullOptions options, ImageStore& store, LayerTarget& target,
         std::function<void()> after_failure);
  // Cancels what runs and waits for it.
  ~Puller();

  // Always asks the registry; layers present are not downloaded again. Concurrent calls with equal
  // reference and credentials share one pull, each leaving it by its own `context`; the pull is
  // abandoned when nobody waits any more. Thread-safe, blocks.
  // Errors, none holding a secret: kNotFound (no such manifest, or none for this platform),
  // kUnauthenticated, kPermissionDenied, kUnavailable with a message that starts
  // "RegistryUnavailable: " (kubelet looks for that at the start of an error of gRPC code Unknown:
  // do not prefix it), kResourceExhausted (429), kDataLoss (digest or size wrong), kInvalidArgument
  // (hostile or unsupported documents, bad hosts.toml), kFailedPrecondition (certificates, a
  // registry that is none), kDeadlineExceeded, kCancelled; and what the LayerTarget says.
  absl::StatusOr<ImagePtr> Pull(const oci::Reference& reference, const Credentials& credentials,
                                const PullContext& context);

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
  absl::CondVar finished_;
  std::list<std::shared_ptr<Flight>> flights_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::image
