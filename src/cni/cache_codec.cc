#include "absl/strings/escaping.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cni/cache.h"

namespace crisp::cni {
namespace {

using base::Json;

constexpr char kKind[] = "cniCacheV1";
constexpr char kOwner[] = "crisp";

// The text was checked before it was stored; `null` for an empty text.
Json Embedded(const std::string& text) { return Json::parse(text, nullptr, /*exceptions=*/false); }

absl::StatusOr<CacheEntry> DecodeEntry(const Json& document) {
  if (document.at("kind").get<std::string>() != kKind) {
    return absl::InvalidArgumentError("cni cache: kind must be cniCacheV1");
  }
  if (document.value("runtime", "") != kOwner) {
    return absl::NotFoundError("cni cache: entry of another runtime");
  }
  CacheEntry entry;
  entry.container_id = document.at("containerId").get<std::string>();
  entry.network = document.at("networkName").get<std::string>();
  entry.netns = document.value("netns", "");
  if (!absl::Base64Unescape(document.at("config").get<std::string>(), &entry.config)) {
    return absl::InvalidArgumentError("cni cache: config must be base64");
  }
  entry.args = document.value("cniArgs", CniArgs());
  if (const auto args = document.find("capabilityArgs"); args != document.end()) {
    entry.capability_args = base::DumpJson(*args);
  }
  if (const auto result = document.find("result"); result != document.end()) {
    entry.result = base::DumpJson(*result);
  }
  return entry;
}

}  // namespace

std::string EncodeCacheEntry(const CacheEntry& entry) {
  Json document = {{"kind", kKind},
                   {"containerId", entry.container_id},
                   {"config", absl::Base64Escape(entry.config)},
                   {"ifName", kPodInterface},
                   {"networkName", entry.network},
                   {"netns", entry.netns},
                   {"cniArgs", entry.args},
                   {"runtime", kOwner}};
  if (!entry.capability_args.empty()) document["capabilityArgs"] = Embedded(entry.capability_args);
  if (!entry.result.empty()) document["result"] = Embedded(entry.result);
  return base::DumpJson(document);
}

absl::StatusOr<CacheEntry> DecodeCacheEntry(absl::string_view text) {
  CRISP_ASSIGN_OR_RETURN(absl::StatusOr<CacheEntry> entry,
                         base::DecodeJson("cni cache", text, DecodeEntry));
  return entry;
}

absl::StatusOr<Attachment> DecodeAttachment(absl::string_view text) {
  return base::DecodeJson("cni cache", text, [](const Json& document) {
    return Attachment{.network = document.at("networkName"),
                      .container_id = document.at("containerId"),
                      .interface = document.at("ifName")};
  });
}

}  // namespace crisp::cni
