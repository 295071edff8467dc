// What crispd's watchdog takes for an answer.
#include "client/answers.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "server_fixture.h"

namespace crisp::rpc {
namespace {

TEST_CASE("a server answers its watchdog while long calls wait, and also by a refusal") {
  ServerFixture busy({.execs = 8});
  test::AsyncCalls<v1::ExecSyncResponse> execs;
  for (int i = 0; i < 8; ++i)
    execs.Begin(busy.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
  REQUIRE(busy.AwaitWaiting(8));
  CHECK(client::Answers(*busy.client, base::Deadline::In(absl::Seconds(20))).ok());
  busy.gate.Open();
  CHECK(execs.Finish() == 8);

  ServerFixture full({.others = 0});
  CHECK(full.Version().error_code() == Code::RESOURCE_EXHAUSTED);
  CHECK(client::Answers(*full.client, base::Deadline::In(absl::Seconds(20))).ok());
}

TEST_CASE("a server that takes connections and does not answer fails its watchdog, by name") {
  ServerFixture fixture;  // for its directory
  const std::string path = fixture.directory + "/deaf";
  const base::UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(listen(listener.get(), 8) == 0);
  client::CriClient client(path);
  const absl::Status silent = client::Answers(client, base::Deadline::In(absl::Milliseconds(300)));
  CHECK(absl::IsUnavailable(silent));
  CHECK_THAT(std::string(silent.message()), Catch::StartsWith("Version: "));
}

}  // namespace
}  // namespace crisp::rpc
