#include "image/blob_reader.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace crisp::image {
namespace {

// First byte of "bytes 100-199/200", -1 when it is something else.
int64_t RangeBegin(absl::string_view content_range) {
  int64_t begin = -1;
  if (!absl::ConsumePrefix(&content_range, "bytes ")) return -1;
  const size_t dash = content_range.find('-');
  if (dash == absl::string_view::npos) return -1;
  return absl::SimpleAtoi(content_range.substr(0, dash), &begin) ? begin : -1;
}

}  // namespace

BlobReader::BlobReader(const oci::Descriptor& descriptor, LayerSink& sink,
                       std::atomic<int64_t>& bytes_done, bool decode_gzip)
    : descriptor_(descriptor),
      sink_(sink),
      bytes_done_(bytes_done),
      hasher_(AlgorithmOf(descriptor.digest)),
      size_(descriptor.size > 0 ? descriptor.size : -1),
      decode_gzip_(decode_gzip) {
  bytes_done_ = 0;
}

absl::Status BlobReader::Start(const HttpResponse& head) {
  const bool partial = head.status == 206;
  gzipped_ = gzipped_ || head.IsGzip();
  page_words_ = head.PageWords();
  if (partial && RangeBegin(head.Header("content-range")) != offset_) {
    return absl::DataLossError(
        absl::StrCat("asked for bytes from ", offset_, ", got another range"));
  }
  // A server that does not support Range sends the whole blob again.
  skip_ = partial ? 0 : offset_;
  int64_t length = 0;
  if (decode_gzip_ && head.IsGzip()) return absl::OkStatus();  // the length is the compressed one's
  if (!absl::SimpleAtoi(head.Header("content-length"), &length)) return absl::OkStatus();
  const int64_t before = partial ? offset_ : 0;
  if (size_ < 0) {
    if (length < 0 || length > oci::kMaxLayerBytes - before)
      return absl::DataLossError(absl::StrCat("size is more than ", oci::kMaxLayerBytes));
    size_ = before + length;
  }
  if (length != size_ - before) {
    return absl::DataLossError(
        absl::StrCat("size is ", length, ", not ", size_ - before, page_words_));
  }
  return absl::OkStatus();
}

absl::Status BlobReader::Read(absl::string_view bytes) {
  const int64_t skipped = std::min<int64_t>(skip_, static_cast<int64_t>(bytes.size()));
  skip_ -= skipped;
  bytes.remove_prefix(static_cast<size_t>(skipped));
  if (bytes.empty()) return absl::OkStatus();
  const int64_t most = size_ < 0 ? oci::kMaxLayerBytes : size_;
  if (static_cast<int64_t>(bytes.size()) > most - offset_) {
    return absl::DataLossError(absl::StrCat("size is more than ", most, page_words_));
  }
  hasher_.Update(bytes);
  if (absl::Status status = sink_.Write(bytes); !status.ok()) {
    sink_failed_ = true;
    return status;
  }
  offset_ += static_cast<int64_t>(bytes.size());
  bytes_done_ = offset_;
  return absl::OkStatus();
}

absl::Status BlobReader::Seal() {
  if (size_ >= 0 && !complete()) {
    return absl::DataLossError(absl::StrCat("size is ", offset_, ", not ", size_, page_words_));
  }
  const oci::Digest digest = image::Finish(hasher_);
  if (digest != descriptor_.digest) {
    return absl::DataLossError(
        absl::StrCat("digest is ", digest.str(), ", not ", descriptor_.digest.str(), page_words_));
  }
  verified_ = true;
  sink_failed_ = true;  // from here on every error is the sink's
  return sink_.Seal();
}

}  // namespace crisp::image
