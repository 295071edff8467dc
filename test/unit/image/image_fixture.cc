#include "image_fixture.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "image/digests.h"

namespace crisp::image {
TempDir::TempDir() {
  const char* const place = getenv("TMPDIR");
  path = absl::StrCat(place != nullptr ? place : "/tmp", "/crisp-image-test-XXXXXX");
  REQUIRE(mkdtemp(path.data()) != nullptr);
}
TempDir::~TempDir() { (void)base::RemoveTree(path); }

class FakeSink final : public LayerSink {
 public:
  FakeSink(FakeTarget& target, LayerInfo layer) : target_(target), layer_(std::move(layer)) {}
  ~FakeSink() override {
    absl::MutexLock lock(&target_.mu_);
    if (!finished_) ++target_.aborted_;
    if (waits_) --target_.waiting_;
  }
  absl::Status Write(absl::string_view bytes) override {
    if (target_.before_write) target_.before_write(layer_);
    bytes_.append(bytes.data(), bytes.size());
    if (!bytes_.empty() && bytes_ == target_.unreadable) return absl::DataLossError("not a layer");
    return abandoned_ ? absl::InternalError("abandoned") : target_.write_error;
  }
  absl::Status Seal() override {
    if (Sha256(bytes_) != layer_.diff_id) return absl::DataLossError("diff id does not match");
    waits_ = target_.layers_wait;
    if (!waits_) return absl::OkStatus();
    absl::MutexLock lock(&target_.mu_);
    target_.most_waiting_ = std::max(target_.most_waiting_, ++target_.waiting_);
    if (target_.on_wait) target_.on_wait(target_.waiting_);
    return absl::OkStatus();
  }
  bool WaitsForParent() const override { return waits_; }
  absl::Status Finish() override {
    if (!target_.publish_error.ok()) return target_.publish_error;
    absl::MutexLock lock(&target_.mu_);
    if (!layer_.parent_chain_id.empty() && !target_.layers_.contains(layer_.parent_chain_id)) {
      return absl::FailedPreconditionError("parent is not visible");
    }
    target_.layers_.emplace(layer_.chain_id, bytes_);  // unless another pull was first
    finished_ = true;
    return absl::OkStatus();
  }
  void Abandon() override {
    abandoned_ = true;
    if (target_.on_abandon) target_.on_abandon();
  }

 private:
  FakeTarget& target_;
  const LayerInfo layer_;
  std::string bytes_;
  std::atomic<bool> abandoned_ = false;
  bool finished_ = false;
  bool waits_ = false;
};

bool FakeTarget::Has(const oci::ChainId& chain_id) const {
  absl::MutexLock lock(&mu_);
  return layers_.contains(chain_id);
}

absl::StatusOr<std::unique_ptr<LayerSink>> FakeTarget::Begin(const LayerInfo& layer) {
  absl::MutexLock lock(&mu_);
  ++begun_;
  return std::make_unique<FakeSink>(*this, layer);
}

std::map<oci::ChainId, std::string> FakeTarget::layers() const {
  absl::MutexLock lock(&mu_);
  return layers_;
}
int FakeTarget::begun() const {
  absl::MutexLock lock(&mu_);
  return begun_;
}
int FakeTarget::aborted() const {
  absl::MutexLock lock(&mu_);
  return aborted_;
}
int FakeTarget::most_waiting() const {
  absl::MutexLock lock(&mu_);
  return most_waiting_;
}
void FakeTarget::Remove(const oci::ChainId& chain_id) {
  absl::MutexLock lock(&mu_);
  layers_.erase(chain_id);
}

Credentials User(const std::string& name, const std::string& password) {
  Credentials credentials;
  credentials.username = name;
  credentials.password = password;
  return credentials;
}

std::string Authorization(const EvilRequest& request) {
  const auto found = request.headers.find("authorization");
  return found == request.headers.end() ? "" : found->second;
}

EvilReply RedirectTo(const std::string& url) {
  EvilReply reply;
  reply.status = 307;
  reply.headers = {"Location: " + url};
  return reply;
}

bool Holds(const absl::Status& status, const std::string& words) {
  INFO(status.ToString());
  const bool holds = absl::StrContains(status.message(), words);
  CHECK(holds);
  return holds;
}

PullFixture::PullFixture() {
  options.registry_config_dirs = {dir.path + "/certs.d"};
  options.progress_timeout = absl::Seconds(10);  // long enough for a loaded machine
  options.attempts = 3;
  options.backoff = absl::Milliseconds(1);
  options.max_retry_after = absl::Milliseconds(5);
  auto opened = ImageStore::Open(paths, target);
  REQUIRE(opened.ok());
  store = *std::move(opened);
}

oci::Reference PullFixture::Ref(const std::string& text) const {
  const std::string full =
      absl::StrContains(text, '/') ? text : absl::StrCat(registry.host(), "/", text);
  return *oci::Reference::Parse(full);
}

Puller& PullFixture::MakePuller() {
  if (puller == nullptr) puller = std::make_unique<Puller>(options, *store, target, after_failure);
  return *puller;
}

absl::StatusOr<ImagePtr> PullFixture::Pull(const std::string& text, const Credentials& credentials,
                                           const base::Call& call) {
  return MakePuller().Pull(Ref(text), credentials, call);
}

absl::Status PullFixture::Refused(const std::string& text, const Credentials& credentials) {
  const absl::Status status = Pull(text, credentials).status();
  INFO(status.ToString());
  CHECK_FALSE(status.ok());
  CHECK(store->List().empty());
  CHECK(status.message().size() < 2000);
  return status;
}

void PullFixture::WriteHostsToml(const std::string& text) {
  const std::string directory = base::JoinPath(dir.path, "certs.d", registry.host());
  REQUIRE(base::MakeDirs(directory, 0700).ok());
  REQUIRE(base::WriteFileAtomic(base::JoinPath(directory, "hosts.toml"), text, 0600).ok());
}

}  // namespace crisp::image
