// For the tests of pulls: images made of strings, a layer target in memory, and a store in a
// temporary directory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/paths.h"
#include "fakes/evil_image.h"
#include "fakes/evil_registry.h"
#include "image/image_store.h"
#include "image/layer_target.h"
#include "image/puller.h"
#include "oci/digest.h"

namespace crisp::image {

struct TempDir {
  std::string path;
  TempDir();
  ~TempDir();
};

// Keeps the bytes of each layer in memory. Layers are not compressed, so the diff id is the digest.
class FakeTarget final : public LayerTarget {
 public:
  bool Has(const oci::ChainId& chain_id) const override;
  absl::StatusOr<std::unique_ptr<LayerSink>> Begin(const LayerInfo& layer) override;

  std::map<oci::ChainId, std::string> layers() const;
  int begun() const;
  int aborted() const;
  int most_waiting() const;  // of sealed sinks, at a time
  void Remove(const oci::ChainId& chain_id);

  absl::Status write_error, publish_error;             // of every sink
  std::string unreadable;                              // bytes that no sink can read
  std::function<void(const LayerInfo&)> before_write;  // called on the puller's thread
  std::function<void()> on_abandon;                    // on any
  bool layers_wait = false;                            // sealed sinks say that they do
  std::function<void(int)> on_wait;                    // with how many do

 private:
  friend class FakeSink;
  mutable absl::Mutex mu_;
  std::map<oci::ChainId, std::string> layers_;
  int begun_ = 0;
  int aborted_ = 0;
  int waiting_ = 0;
  int most_waiting_ = 0;
};

Credentials User(const std::string& name, const std::string& password);
std::string Authorization(const EvilRequest& request);  // its header; empty without
EvilReply RedirectTo(const std::string& url);
bool Holds(const absl::Status& status, const std::string& words);

struct PullFixture {
  TempDir dir;
  base::Paths paths{dir.path + "/root", dir.path + "/state"};
  EvilRegistry registry;
  FakeTarget target;
  std::unique_ptr<ImageStore> store;
  PullOptions options;
  std::function<void()> after_failure;
  std::unique_ptr<Puller> puller;  // made by the first Pull(), from the two above

  PullFixture();
  // "repo:v1" is a reference to the evil registry; text with a '/' is used unchanged.
  oci::Reference Ref(const std::string& text) const;
  absl::StatusOr<ImagePtr> Pull(const std::string& text = "repo:v1",
                                const Credentials& credentials = {}, const base::Call& call = {});
  // Checks that the pull fails and leaves nothing; returns its error.
  absl::Status Refused(const std::string& text = "repo:v1", const Credentials& credentials = {});
  void WriteHostsToml(const std::string& text);
  Puller& MakePuller();
};

}  // namespace crisp::image
