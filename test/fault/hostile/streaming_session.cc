#include "test/fault/hostile/streaming_session.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace crisp::hostile {

Victim::Victim(Target& target)
    : target_(target), pod_(target.ThePod()), container_(StartAttack(target, pod_, {"wait"})) {
  processes_ = Processes();
  before_ = RuntimeUsage(target);
}

std::string Victim::ExecUrl(const std::vector<std::string>& words) {
  v1::ExecRequest request;
  request.set_container_id(container_);
  request.add_cmd(kAttacker);
  for (const std::string& word : words) request.add_cmd(word);
  request.set_stdin(true);
  request.set_stdout(true);
  test::Endpoint& endpoint = target_.endpoint();
  return endpoint.Call(endpoint.runtime(), &Runtime::Exec, request).url();
}

std::string Victim::ForwardUrl(int port) {
  v1::PortForwardRequest request;
  request.set_pod_sandbox_id(pod_.id());
  request.add_port(port);
  test::Endpoint& endpoint = target_.endpoint();
  return endpoint.Call(endpoint.runtime(), &Runtime::PortForward, request).url();
}

size_t Victim::Processes() {
  const std::string names = pod_.Exec(container_, {kAttacker, "list", "/proc"}).out;
  size_t count = 0;
  for (const absl::string_view name : absl::StrSplit(names, '\n')) {
    int pid = 0;
    count += absl::SimpleAtoi(name, &pid) ? 1 : 0;
  }
  return count;
}

Session::Session(const std::string& url) : client(url) {
  const std::string answer = client.Upgrade({kStreamProtocol});
  Demand(absl::StrContains(answer, " 101 "), absl::StrCat("no upgrade: ", answer));
  error = client.Open({{"streamtype", "error"}});
  in = client.Open({{"streamtype", "stdin"}});
  out = client.Open({{"streamtype", "stdout"}});
}

void Victim::Unharmed() {
  Session session(ExecUrl({"cat"}));
  session.client.Send(session.in, "still here", true);
  session.client.ReadToEnd();
  Demand(session.client.streams[session.out].data == "still here",
         "an ordinary exec does not work any more");
  Demand(Settles([&] { return Processes() <= processes_; }), "a process of a session is left");
  Demand(Settles([&] {
           const Usage now = RuntimeUsage(target_);
           return now.descriptors <= before_.descriptors + 8 &&
                  now.resident < before_.resident + (48 << 20);
         }),
         "the runtime keeps descriptors or memory of attacked sessions");
}

}  // namespace crisp::hostile
