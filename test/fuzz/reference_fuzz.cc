// The canonical form of a reference parses to an equal reference, with a tag and with a digest.
#include <cstddef>
#include <cstdint>
#include <string>

#include "oci/reference.h"

using crisp::oci::Digest;
using crisp::oci::Reference;

namespace {

void MustRoundTrip(const Reference& reference) {
  const absl::StatusOr<Reference> again = Reference::Parse(reference.ToString());
  if (!again.ok() || *again != reference) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<Reference> reference =
      Reference::Parse(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!reference.ok()) return 0;
  if (reference->tag().empty() == reference->digest().empty()) __builtin_trap();
  MustRoundTrip(*reference);
  MustRoundTrip(reference->WithDigest(*Digest::Parse("sha256:" + std::string(64, 'a'))));
  return 0;
}
