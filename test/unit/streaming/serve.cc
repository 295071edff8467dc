// Runs the server with the fake runtime, for clients in other languages. Answers each line with
// one:
//   exec|attach <stdin><stdout><stderr><tty, each 0 or 1> <shell script>   the URL
//   portforward                                                            the URL
//   stat                                   sessions, processes held, processes killed
#include <iostream>
#include <sstream>

#include "fake_runtime.h"
#include "streaming/server.h"

using crisp::streaming::AttachRequest;
using crisp::streaming::ExecRequest;
using crisp::streaming::FakeRuntime;
using crisp::streaming::PortForwardRequest;
using crisp::streaming::Request;
using crisp::streaming::Server;
using crisp::streaming::ServerOptions;
using crisp::streaming::Streams;

int main() {
  FakeRuntime runtime;
  auto server = Server::Start(ServerOptions(), &runtime);
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string kind, flags, script;
    words >> kind >> flags;
    std::getline(words, script);
    if (kind == "stat") {
      std::cout << (*server)->sessions() << " " << runtime.record->alive << " "
                << runtime.record->killed << std::endl;
      continue;
    }
    Request request = PortForwardRequest{"pod"};
    if (kind != "portforward" && flags.size() == 4) {
      const Streams streams = {flags[0] == '1', flags[1] == '1', flags[2] == '1', flags[3] == '1'};
      const std::vector<std::string> command = {"sh", "-c", script};
      if (kind == "exec") request = ExecRequest{"c", command, streams};
      if (kind == "attach") {
        runtime.attach_command = command;
        request = AttachRequest{"c", streams};
      }
    }
    auto url = (*server)->Url(std::move(request));
    std::cout << (url.ok() ? *url : url.status().ToString()) << std::endl;
  }
}
