// A program of its own, because gRPC never gets over a time without threads: it keeps what it has
// reserved for them, and waits at its end for one that it does not have.
#include <grpc/grpc.h>

#include "no_threads.h"
#include "server_fixture.h"

// gRPC leaks what it kept for a timer thread that it did not get (lsan_interface.h).
extern "C" const char* __lsan_default_suppressions() { return "leak:gpr_malloc\n"; }

namespace crisp::rpc {
namespace {

// gRPC's own limit counts each thread that it did not get, for ever.
TEST_CASE("the server outlives a time without threads, however many calls it refuses then") {
  // Never undone: gRPC would wait at its end for a timer thread that it counted but did not get.
  grpc_init();
  ServerFixture fixture;
  REQUIRE(fixture.Version().ok());
  test::AsyncCalls<v1::ExecSyncResponse> execs;
  execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
  REQUIRE(fixture.AwaitWaiting(1));
  {
    const test::NoThreads none;
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
      // Takes the threads that still wait for calls, but for the last one.
      if (i < 3) execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
      refused += fixture.Version().error_code() == Code::RESOURCE_EXHAUSTED;
    }
    CHECK(refused > 2900);
  }
  const int taken = fixture.gate.waiting;
  for (int i = 0; i < 10; ++i) {
    execs.Begin(fixture.client->runtime(), &Runtime::AsyncExecSync, ExecRequest());
  }
  REQUIRE(fixture.AwaitWaiting(taken + 10));
  CHECK(fixture.Version().ok());
  fixture.gate.Open();
  CHECK(execs.Finish() == taken + 10);
}

}  // namespace
}  // namespace crisp::rpc
