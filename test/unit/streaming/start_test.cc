// Processes that do not start: what their sessions hold meanwhile, and how they end.
#include <catch2/catch.hpp>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "server_fixture.h"

namespace crisp::streaming {
namespace {

std::string StoppedUrl(ServerFixture& fixture) {
  return fixture.Url(ExecRequest{"stopped", {"true"}, kOut});
}

TEST_CASE("execs that do not start hold up no others, however many") {
  ServerFixture fixture;
  const auto record = fixture.runtime.record;
  std::vector<std::unique_ptr<Command>> stopped;
  for (int i = 0; i < 50; ++i)
    stopped.push_back(std::make_unique<Command>(StoppedUrl(fixture), kOut));
  REQUIRE(Eventually([&] { return record->pending == 50; }));
  const int64_t begin = base::MonotonicNanos();
  Command other(fixture.ExecUrl("echo x", kOut), kOut);
  other.client.ReadToEnd();
  CHECK(other.text(other.out) == "x\n");
  // Far less than the ten seconds that a process has to start.
  CHECK(base::MonotonicNanos() - begin < int64_t{5} * 1'000'000'000);
  CHECK(record->pending == 50);
  stopped.clear();
  CHECK(Eventually([&] { return record->pending == 0; }));
  CHECK(record->started == 1);
}

TEST_CASE("a process that does not start in time is given up, and its client is told") {
  ServerOptions options;
  options.start_timeout = absl::Milliseconds(200);
  ServerFixture fixture(options);
  Command command(StoppedUrl(fixture), kOut);
  command.client.ReadToEnd();
  CHECK(command.text(command.error).find("the process does not run after 200ms") !=
        std::string::npos);
  CHECK(Eventually([&] { return fixture.server->sessions() == 0; }));
  CHECK(fixture.runtime.record->pending == 0);
}

TEST_CASE("stopping the server gives up processes that do not start") {
  ServerFixture fixture;
  const auto record = fixture.runtime.record;
  Command command(StoppedUrl(fixture), kOut);
  REQUIRE(Eventually([&] { return record->pending == 1; }));
  fixture.server->Stop();
  CHECK(record->pending == 0);
  CHECK(record->started == 0);
  command.client.ReadToEnd();
  CHECK(command.text(command.error).find("crispd is stopping") != std::string::npos);
}

}  // namespace
}  // namespace crisp::streaming
