// What a one-time URL stands for: the parameters of a CRI Exec, Attach or PortForward, kept until
// the client comes.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace crisp::streaming {

// Which standard streams the client wants to carry. With `tty`, stderr is part of the terminal's
// output.
struct Streams {
  bool in = false;
  bool out = false;
  bool err = false;
  bool tty = false;
};

struct ExecRequest {
  std::string container_id;
  std::vector<std::string> command;
  Streams streams;
};

struct AttachRequest {
  std::string container_id;
  Streams streams;
};

// Ports are named by the client, stream by stream (CRI's own port list is empty in every client).
struct PortForwardRequest {
  std::string sandbox_id;
};

using Request = std::variant<ExecRequest, AttachRequest, PortForwardRequest>;

// kInvalidArgument naming the field: an empty id or command, stderr with a tty, no stream at all.
absl::Status Validate(const Request& request);

// Of an ExecRequest or an AttachRequest.
Streams StreamsOf(const Request& request);

}  // namespace crisp::streaming
