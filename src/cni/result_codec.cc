#include <arpa/inet.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cni/conf.h"
#include "cni/network.h"
#include "cni/result.h"

namespace crisp::cni {
namespace {

using base::Json;

constexpr size_t kMaxIps = 64;

bool IsAddress(const std::string& text) {
  in6_addr buffer;
  return inet_pton(AF_INET, text.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

// Whether the address is on the pod's own interface; an address without an interface counts as
// such.
absl::StatusOr<bool> IsPodAddress(const Json& result, const Json& ip) {
  const auto index = ip.find("interface");
  if (index == ip.end() || index->is_null()) return true;
  const int64_t number = index->get<int64_t>();
  const Json interfaces = result.value("interfaces", Json::array());
  if (!interfaces.is_array() || number < 0 || static_cast<size_t>(number) >= interfaces.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("result: ips: interface ", number, " is not in the list of interfaces"));
  }
  const Json& interface = interfaces[static_cast<size_t>(number)];
  return interface.at("name").get<std::string>() == kPodInterface &&
         !interface.value("sandbox", "").empty();
}

absl::StatusOr<Result> DecodeResult(const Json& document, absl::string_view cni_version) {
  if (!document.is_object()) return absl::InvalidArgumentError("result: must be an object");
  Json answer = document;
  if (!answer.contains("cniVersion")) answer["cniVersion"] = std::string(cni_version);
  const std::string version = answer["cniVersion"].get<std::string>();
  if (VersionRank(version) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "result: cniVersion ", base::DumpJson(Printable(version)), ": is not supported"));
  }
  Result result;
  const auto ips = answer.find("ips");
  if (ips != answer.end() && !ips->is_null()) {
    if (!ips->is_array() || ips->size() > kMaxIps) {
      return absl::InvalidArgumentError(
          absl::StrCat("result: ips: must be a list of at most ", kMaxIps));
    }
    for (const Json& ip : *ips) {
      const std::string cidr = ip.at("address").get<std::string>();
      const std::string address = cidr.substr(0, cidr.find('/'));
      if (!IsAddress(address)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "result: ips: ", base::DumpJson(Printable(cidr)), ": must be an IP address"));
      }
      CRISP_ASSIGN_OR_RETURN(const bool mine, IsPodAddress(answer, ip));
      if (mine) result.ips.push_back(address);
    }
  }
  result.json = base::DumpJson(answer);
  return result;
}

}  // namespace

absl::StatusOr<Result> ParseResult(absl::string_view text, absl::string_view cni_version) {
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError("result: must not be empty");
  }
  absl::StatusOr<absl::StatusOr<Result>> result = base::DecodeJson(
      "result", text, [&](const Json& document) { return DecodeResult(document, cni_version); });
  if (!result.ok()) {
    // The parser's message may contain bytes of the plugin's output.
    return absl::Status(result.status().code(), Printable(result.status().message()));
  }
  return *std::move(result);
}

std::optional<PluginError> ParsePluginError(absl::string_view text) {
  const absl::StatusOr<PluginError> error =
      base::DecodeJson("error", text, [](const Json& document) {
        PluginError decoded;
        decoded.code = document.at("code").get<uint64_t>();
        decoded.message = Printable(document.value("msg", ""));
        const std::string details = document.value("details", "");
        if (!details.empty()) absl::StrAppend(&decoded.message, ": ", Printable(details));
        return decoded;
      });
  if (!error.ok() || error->code == 0) return std::nullopt;
  return *error;
}

std::string Printable(absl::string_view text) {
  constexpr size_t kMaxBytes = 1024;
  std::string line(absl::StripAsciiWhitespace(text.substr(0, kMaxBytes)));
  for (char& c : line) {
    if (!absl::ascii_isprint(c)) c = absl::ascii_isspace(c) ? ' ' : '?';
  }
  return line;
}

}  // namespace crisp::cni
