// Checks a blob while it streams into a layer sink: size and digest of its descriptor, also when
// connections break and when a server answers a Range request with the whole blob. The size of a
// descriptor without one is what the first answer says, or where the answer ends; the digest
// decides.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "image/digests.h"
#include "image/http_client.h"
#include "image/layer_target.h"
#include "oci/image_spec.h"

namespace crisp::image {

// Used by one thread, for one sink.
class BlobReader final : public BodyReader {
 public:
  // Borrows the first three. `decode_gzip`: the answers are those to HttpRequest::decode_gzip.
  BlobReader(const oci::Descriptor& descriptor, LayerSink& sink, std::atomic<int64_t>& bytes_done,
             bool decode_gzip);

  // kDataLoss when the answer is not the blob or the requested rest of it.
  absl::Status Start(const HttpResponse& head) override;
  absl::Status Read(absl::string_view bytes) override;
  // Checks size and digest, then seals the sink.
  absl::Status Seal();

  // Where the next connection must continue.
  int64_t offset() const { return offset_; }
  bool decode_gzip() const { return decode_gzip_; }
  // An answer's Content-Encoding was gzip.
  bool gzipped() const { return gzipped_; }
  bool complete() const { return offset_ == size_; }
  // The last error came from the sink: another connection would not help.
  bool sink_failed() const { return sink_failed_; }
  // All bytes have the size and the digest.
  bool verified() const { return verified_; }

 private:
  const oci::Descriptor& descriptor_;
  LayerSink& sink_;
  std::atomic<int64_t>& bytes_done_;
  digest::Hasher hasher_;
  int64_t size_;  // -1: not known
  const bool decode_gzip_;
  bool gzipped_ = false;
  std::string page_words_;  // of the last answer
  int64_t offset_ = 0;
  int64_t skip_ = 0;  // bytes of this answer that the sink already has
  bool sink_failed_ = false;
  bool verified_ = false;
};

}  // namespace crisp::image
