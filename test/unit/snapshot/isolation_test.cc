// What a decoder or an untarrer that a layer has taken over cannot do.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <string>

#include "base/file.h"
#include "linux/reap.h"
#include "linux/spawn.h"

namespace crisp::snapshot {
namespace {

// How the probe ended: "exit 1", "signal 31".
std::string Probe(const std::string& role, const std::string& action) {
  const linux::Command command = {
      .path = CRISP_UNPACK_PROBE, .args = {"unpack_probe", role, action}, .env = {}};
  const auto child = linux::Spawn(command, {-1, -1, 2});
  REQUIRE(child.ok());
  const auto end =
      linux::Reap(child->pid, child->pidfd.get(), base::Deadline::In(absl::Seconds(30)));
  REQUIRE(end.has_value());
  return (end->si_code == CLD_EXITED ? "exit " : "signal ") + std::to_string(end->si_status);
}

const std::string kSigsys = "signal " + std::to_string(SIGSYS);

TEST_CASE("what no part of the unpacking needs ends its process") {
  for (const char* role : {"decode", "untar"}) {
    CHECK(Probe(role, "nothing") == "exit 0");
    CHECK(Probe(role, "clock") == "exit 0");
    for (const char* action : {"socket", "execute", "fork", "kill", "ptrace", "mount", "unshare",
                               "executable memory", "open by handle", "splice", "own signals"}) {
      INFO(role << ": " << action);
      CHECK(Probe(role, action) == kSigsys);
    }
  }
}

TEST_CASE("no path leads an untarrer anywhere, and a decoder opens nothing") {
  for (const char* action : {"open", "open above", "write"}) {
    INFO(action);
    CHECK(Probe("untar", action) == "exit 1");
#ifndef __SANITIZE_ADDRESS__  // whose report may need a file
    CHECK(Probe("decode", action) == kSigsys);
#endif
  }
}

}  // namespace
}  // namespace crisp::snapshot
