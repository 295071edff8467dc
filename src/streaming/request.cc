#include "streaming/request.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace crisp::streaming {
namespace {

absl::Status CheckId(absl::string_view field, const std::string& id) {
  if (id.empty()) return absl::InvalidArgumentError(absl::StrCat(field, " is empty"));
  return absl::OkStatus();
}

absl::Status CheckStreams(const Streams& streams) {
  if (streams.tty && streams.err)
    return absl::InvalidArgumentError("tty and stderr cannot both be true");
  if (!streams.in && !streams.out && !streams.err) {
    return absl::InvalidArgumentError("one of stdin, stdout and stderr must be true");
  }
  return absl::OkStatus();
}

struct Checker {
  absl::Status operator()(const ExecRequest& request) const {
    if (absl::Status id = CheckId("container_id", request.container_id); !id.ok()) return id;
    if (request.command.empty()) return absl::InvalidArgumentError("cmd is empty");
    return CheckStreams(request.streams);
  }
  absl::Status operator()(const AttachRequest& request) const {
    if (absl::Status id = CheckId("container_id", request.container_id); !id.ok()) return id;
    return CheckStreams(request.streams);
  }
  absl::Status operator()(const PortForwardRequest& request) const {
    return CheckId("pod_sandbox_id", request.sandbox_id);
  }
};

}  // namespace

absl::Status Validate(const Request& request) { return std::visit(Checker(), request); }

Streams StreamsOf(const Request& request) {
  const auto* exec = std::get_if<ExecRequest>(&request);
  return exec != nullptr ? exec->streams : std::get<AttachRequest>(request).streams;
}

}  // namespace crisp::streaming
