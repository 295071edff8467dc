// F17 and F18 of the fault catalogue: every way a plugin can misbehave, for every verb. Each case
// must end in a clean error (or, where the answer does not matter, in success), with the plugin's
// process group dead, no descriptor and little memory more than before, and after a failed ADD a
// DEL that leaves no cache entry.
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "cni_fixture.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

struct Fault {
  const char* behaviour;
  absl::Duration deadline;
  absl::StatusCode code;
  const char* message;  // part of it
};

constexpr absl::Duration kLong = absl::Seconds(20);
constexpr absl::Duration kShort = absl::Milliseconds(300);
using Code = absl::StatusCode;

// Memory of this process, bytes.
size_t ResidentPeak() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

// Runs `action` and checks what holds after every fault.
void CheckFault(const EvilNetwork& evil, const Fault& fault, const char* verb,
                const std::function<absl::Status()>& action) {
  const size_t descriptors = OpenDescriptors();
  const size_t memory = ResidentPeak();
  const absl::Time start = absl::Now();
  const absl::Status status = action();
  INFO(verb << " " << fault.behaviour << ": " << status.ToString());
  CHECK(status.code() == fault.code);
  CHECK(Contains(Text(status), fault.message));
  if (!status.ok()) CHECK(Contains(Text(status), std::string("cni ") + verb));
  CHECK(status.message().size() < 2500);
  CHECK(absl::Now() - start < absl::Seconds(5));
  CHECK(OpenDescriptors() == descriptors);
  CHECK(ResidentPeak() - memory < (16u << 20));
  REQUIRE_FALSE(evil.Calls().empty());
  CHECK(GroupIsGone(evil.Calls().back()["group"]));
}

}  // namespace

TEST_CASE("F17, F18: faults of ADD") {
  const auto fault = GENERATE(values<Fault>({
      {"hang", kShort, Code::kDeadlineExceeded, "killed at the deadline"},
      {"garbage", kLong, Code::kInvalidArgument, "plugin cni_evil: result: "},
      {"nothing", kLong, Code::kInvalidArgument, "plugin cni_evil: result: empty"},
      {"flood", kLong, Code::kResourceExhausted, "more than 1048576 bytes"},
      {"no_ip", kLong, Code::kInternal, "network evilnet gave no address for eth0"},
      {"wrong_version", kLong, Code::kInvalidArgument, "cniVersion \"7.0.0\" is not supported"},
      {"error0", kLong, Code::kInternal, "plugin cni_evil: evil thing: happened (code 7)"},
      {"error1", kLong, Code::kInternal, "plugin cni_evil: evil thing: happened (code 7)"},
      {"later", kLong, Code::kUnavailable, "(code 11)"},
      {"stderr", kLong, Code::kInternal, "exit code 2: panic: no route"},
      {"crash", kLong, Code::kInternal, "killed by signal 6"},
      {"bad_index", kLong, Code::kInvalidArgument, "interface 99, which is not listed"},
      {"daemon", kLong, Code::kOk, ""},
  }));
  EvilNetwork evil;
  evil.Configure({{{"ADD", fault.behaviour}}});
  const auto network = NewNetwork(evil.options);
  CheckFault(evil, fault, "add",
             [&] { return network->Attach(PodRequest(), In(fault.deadline)).status(); });
  CHECK(evil.CacheFiles().size() == 1);
  CHECK(network->Detach(PodRequest(), In(kLong)).ok());
  CHECK(evil.CallNames() == "ADD: DEL:");
  CHECK(evil.CacheFiles().empty());
  // A retry in the next moment works.
  evil.Configure(kOnePlugin);
  CHECK(network->Attach(PodRequest(), In(kLong)).ok());
}

TEST_CASE("F18: faults of a chained ADD stop the chain and undo all of it") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "a"}}, {{"tag", "b"}, {"ADD", "garbage"}}, {{"tag", "c"}}});
  const auto network = NewNetwork(evil.options);
  CHECK_FALSE(network->Attach(PodRequest(), In(kLong)).ok());
  CHECK(network->Detach(PodRequest(), In(kLong)).ok());
  CHECK(evil.CallNames() == "ADD:a ADD:b DEL:c DEL:b DEL:a");
}

TEST_CASE("F17, F18: faults of DEL") {
  const auto fault = GENERATE(values<Fault>({
      {"hang", kShort, Code::kDeadlineExceeded, "killed at the deadline"},
      {"flood", kLong, Code::kResourceExhausted, "more than 1048576 bytes"},
      {"error0", kLong, Code::kInternal, "(code 7)"},
      {"error1", kLong, Code::kInternal, "(code 7)"},
      {"stderr", kLong, Code::kInternal, "exit code 2: panic: no route"},
      {"crash", kLong, Code::kInternal, "killed by signal 6"},
      // DEL has no answer to get wrong, and what is unknown needs no DEL.
      {"garbage", kLong, Code::kOk, ""},
      {"nothing", kLong, Code::kOk, ""},
      {"unknown", kLong, Code::kOk, ""},
      {"daemon", kLong, Code::kOk, ""},
  }));
  EvilNetwork evil;
  evil.Configure({{{"DEL", fault.behaviour}}});
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kLong)).ok());
  CheckFault(evil, fault, "del", [&] { return network->Detach(PodRequest(), In(fault.deadline)); });
  CHECK(evil.CacheFiles().size() == (fault.code == Code::kOk ? 0 : 1));
}

TEST_CASE("F17, F18: faults of STATUS") {
  const auto fault = GENERATE(values<Fault>({
      {"hang", kLong, Code::kUnavailable, "cni status of network evilnet is not known yet"},
      {"flood", kLong, Code::kResourceExhausted, "more than 1048576 bytes"},
      {"error0", kLong, Code::kInternal, "(code 7)"},
      {"error1", kLong, Code::kInternal, "(code 7)"},
      {"later", kLong, Code::kUnavailable, "(code 11)"},
      {"stderr", kLong, Code::kInternal, "exit code 2: panic: no route"},
      {"crash", kLong, Code::kInternal, "killed by signal 6"},
      {"garbage", kLong, Code::kOk, ""},
      {"nothing", kLong, Code::kOk, ""},
      {"daemon", kLong, Code::kOk, ""},
  }));
  EvilNetwork evil;
  evil.Configure({{{"STATUS", fault.behaviour}}}, "1.1.0");
  auto network = NewNetwork(evil.options);
  const absl::Time start = absl::Now();
  const absl::Status status = network->State().ready;
  INFO(fault.behaviour << ": " << status.ToString());
  CHECK(status.code() == fault.code);
  CHECK(Contains(Text(status), fault.message));
  CHECK(absl::Now() - start < absl::Milliseconds(1500));
  network.reset();  // waits for a hanging plugin until that is killed
  CHECK(absl::Now() - start < absl::Seconds(4));
  CHECK(GroupIsGone(evil.Calls().back()["group"]));
}
