// Every way a plugin can misbehave, for every verb. Each case must end in a clean error (or in
// success, where the output does not matter), with all processes of the plugin killed, no
// descriptor left open, and bounded memory. After a failed ADD, DEL must leave no cache entry.
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "cni_fixture.h"
#include "test/unit/cni/no_descriptors.h"

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

TEST_CASE("a plugin that misbehaves in ADD fails it, and DEL undoes it") {
  const auto fault = GENERATE(values<Fault>({
      {"hang", kShort, Code::kDeadlineExceeded, "killed at the deadline"},
      {"garbage", kLong, Code::kInvalidArgument, "plugin cni_evil: result: "},
      {"nothing", kLong, Code::kInvalidArgument, "plugin cni_evil: result: must not be empty"},
      {"flood", kLong, Code::kResourceExhausted, "more than 1048576 bytes"},
      {"no_ip", kLong, Code::kInternal, "network evilnet: no address for eth0"},
      {"wrong_version", kLong, Code::kInvalidArgument, "cniVersion \"7.0.0\": is not supported"},
      {"error0", kLong, Code::kInternal, "plugin cni_evil: evil thing: happened (code 7)"},
      {"error1", kLong, Code::kInternal, "plugin cni_evil: evil thing: happened (code 7)"},
      {"later", kLong, Code::kUnavailable, "(code 11)"},
      {"stderr", kLong, Code::kInternal, "exit code 2: panic: no route"},
      {"crash", kLong, Code::kUnavailable, "killed by signal 6"},
      {"bad_index", kLong, Code::kInvalidArgument, "interface 99 is not in the list"},
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
  // The next try works.
  evil.Configure(kOnePlugin);
  CHECK(network->Attach(PodRequest(), In(kLong)).ok());
}

TEST_CASE("a chained ADD stops at the first failing plugin, and DEL runs for all of them") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "a"}}, {{"tag", "b"}, {"ADD", "garbage"}}, {{"tag", "c"}}});
  const auto network = NewNetwork(evil.options);
  CHECK_FALSE(network->Attach(PodRequest(), In(kLong)).ok());
  CHECK(network->Detach(PodRequest(), In(kLong)).ok());
  CHECK(evil.CallNames() == "ADD:a ADD:b DEL:c DEL:b DEL:a");
}

TEST_CASE("a plugin that misbehaves in DEL fails it, and the cache entry stays") {
  const auto fault = GENERATE(values<Fault>({
      {"hang", kShort, Code::kDeadlineExceeded, "killed at the deadline"},
      {"flood", kLong, Code::kResourceExhausted, "more than 1048576 bytes"},
      {"error0", kLong, Code::kInternal, "(code 7)"},
      {"error1", kLong, Code::kInternal, "(code 7)"},
      {"later", kLong, Code::kUnavailable, "(code 11)"},
      {"code:999", kLong, Code::kInternal, "(code 999)"},
      {"stderr", kLong, Code::kInternal, "exit code 2: panic: no route"},
      {"crash", kLong, Code::kUnavailable, "killed by signal 6"},
      // The output of DEL is not read, and an unknown container needs no DEL.
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

TEST_CASE("a plugin that misbehaves in STATUS makes the network not ready; nobody waits for it") {
  const auto fault = GENERATE(values<Fault>({
      {"hang", kLong, Code::kDeadlineExceeded, "killed at the deadline"},
      {"flood", kLong, Code::kResourceExhausted, "more than 1048576 bytes"},
      {"error0", kLong, Code::kInternal, "(code 7)"},
      {"error1", kLong, Code::kInternal, "(code 7)"},
      {"later", kLong, Code::kUnavailable, "(code 11)"},
      {"stderr", kLong, Code::kInternal, "exit code 2: panic: no route"},
      {"crash", kLong, Code::kUnavailable, "killed by signal 6"},
      {"garbage", kLong, Code::kOk, ""},
      {"nothing", kLong, Code::kOk, ""},
      {"daemon", kLong, Code::kOk, ""},
  }));
  EvilNetwork evil;
  evil.Configure({{{"STATUS", fault.behaviour}}}, "1.1.0");
  auto network = NewNetwork(evil.options);
  const absl::Time start = absl::Now();
  CHECK(Text(network->State().ready) == "cni status of network evilnet is not known yet");
  CHECK(absl::Now() - start < absl::Milliseconds(500));
  const absl::Status status = Judged(*network);
  INFO(fault.behaviour << ": " << status.ToString());
  CHECK(status.code() == fault.code);
  CHECK(Contains(Text(status), fault.message));
  network.reset();
  CHECK(absl::Now() - start < absl::Seconds(4));
  CHECK(GroupIsGone(evil.Calls().back()["group"]));
}

TEST_CASE("with no descriptor for the network's file neither DEL nor GC is taken for done") {
  EvilNetwork evil;
  evil.Configure(kOnePlugin, "1.1.0");
  const auto is_refused = [](const absl::Status& status) {
    return absl::IsResourceExhausted(status);
  };
  CHECK(HoldsWhenOthersTakeDescriptors([&] {
    const auto network = NewNetwork(evil.options);
    return is_refused(network->Detach(PodRequest(), In(kLong))) &&
           is_refused(network->CollectGarbage({}, In(kLong)));
  }));
  CHECK(evil.Calls().empty());
}
