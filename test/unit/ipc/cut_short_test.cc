// A socket whose maker was killed is in nobody's way.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "base/file.h"
#include "ipc/channel.h"
#include "test/unit/killed_process.h"

namespace crisp::ipc {
namespace {

TEST_CASE("the socket of a start that was killed is made anew by the next start") {
  std::string dir = "/tmp/crisp-ipc-XXXXXX";
  REQUIRE(mkdtemp(dir.data()) != nullptr);
  const std::string path = dir + "/shim.sock";
  const int changes = test::KillBeforeEachChange(
      [] {}, [&] { return Listen(path).ok(); },
      [&](bool) {
        CHECK_FALSE(Connect(path).ok());  // so that it is known to be left over
        const auto socket = Listen(path);
        CHECK(socket.ok());
        CHECK(Connect(path).ok());
        CHECK(base::ListDir(dir)->size() == 1);
      });
  CHECK(changes >= 4);
  (void)base::RemoveTree(dir);
}

}  // namespace
}  // namespace crisp::ipc
