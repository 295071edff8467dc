// The parameters of a CRI Exec, Attach or PortForward, which a one-time URL stands for. Plain
// values.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace crisp::streaming {

// The standard streams that the client requests. With `tty`, stderr is part of the terminal's
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

// The client names a port with each stream it opens; all clients leave CRI's own list of ports
// empty.
struct PortForwardRequest {
  std::string sandbox_id;
};

using Request = std::variant<ExecRequest, AttachRequest, PortForwardRequest>;

// kInvalidArgument naming the field for an empty id or command, for stderr with a tty, and if no
// stream is requested.
absl::Status Validate(const Request& request);

// Of an ExecRequest or an AttachRequest.
Streams StreamsOf(const Request& request);

}  // namespace crisp::streaming
