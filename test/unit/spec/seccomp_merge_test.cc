#include "spec/seccomp_merge.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "ipc/seccomp_file.h"
#include "spec/seccomp.h"
#include "spec/seccomp_default.h"
#include "spec/seccomp_profile_codec.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using Filter = std::vector<sock_filter>;

// What the kernel does, for the instructions that filters are made of.
uint32_t Run(const Filter& filter, const seccomp_data& call) {
  uint32_t loaded = 0;
  for (size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& instruction = filter[at];
    bool holds = false;
    switch (instruction.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&loaded, reinterpret_cast<const char*>(&call) + instruction.k, sizeof(loaded));
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        loaded &= instruction.k;
        continue;
      case BPF_RET | BPF_K:
        return instruction.k;
      case BPF_JMP | BPF_JA:
        at += instruction.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        holds = loaded == instruction.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        holds = loaded > instruction.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        holds = loaded >= instruction.k;
        break;
      default:
        FAIL("an instruction that this test does not know: " << instruction.code);
    }
    at += holds ? instruction.jt : instruction.jf;
  }
  FAIL("the filter ends without a result");
  return 0;
}

// seccomp(2), "Return value", the most restrictive first.
constexpr uint32_t kActions[] = {
    SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO,
    SECCOMP_RET_TRACE,        SECCOMP_RET_LOG,         SECCOMP_RET_ALLOW};

uint32_t OfBoth(uint32_t base, uint32_t other) {
  const auto place = [](uint32_t result) {
    return std::find(std::begin(kActions), std::end(kActions), result & SECCOMP_RET_ACTION_FULL);
  };
  return place(other) < place(base) ? other : base;
}

Filter Compiled(const oci::Seccomp& profile) {
  const absl::StatusOr<std::string> file = CompileSeccomp(profile);
  INFO(file.status());
  REQUIRE(file.ok());
  Filter filter((file->size() - sizeof(ipc::SeccompHead)) / sizeof(sock_filter));
  memcpy(filter.data(), file->data() + sizeof(ipc::SeccompHead),
         filter.size() * sizeof(sock_filter));
  return filter;
}

Filter CompiledText(const std::string& text) {
  const absl::StatusOr<oci::Seccomp> profile =
      DecodeSeccompProfile(text, oci::Capabilities(), ThisSeccompHost());
  INFO(profile.status());
  REQUIRE(profile.ok());
  return Compiled(*profile);
}

std::vector<Filter> Filters() {
  return {Compiled(DefaultSeccomp(oci::Capabilities())),
          CompiledText(R"({"defaultAction": "SCMP_ACT_ALLOW"})"),
          CompiledText(R"({"defaultAction": "SCMP_ACT_KILL_PROCESS"})"),
          // Allow lists, with arguments and for other architectures.
          CompiledText(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13,
          "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
          "syscalls": [
          {"names": ["read", "write", "openat", "mseal"], "action": "SCMP_ACT_ALLOW"},
          {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
           "args": [{"index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
          {"names": ["umask"], "action": "SCMP_ACT_LOG",
           "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_NE"},
                    {"index": 1, "value": 5, "op": "SCMP_CMP_GT"}]}]})"),
          CompiledText(R"({"defaultAction": "SCMP_ACT_TRAP", "syscalls": [
          {"names": ["read", "socket"], "action": "SCMP_ACT_TRACE", "errnoRet": 7},
          {"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
          {"names": ["openat"], "action": "SCMP_ACT_KILL_THREAD"},
          {"names": ["close"], "action": "SCMP_ACT_ALLOW"}]})"),
          // Deny list.
          CompiledText(R"({"defaultAction": "SCMP_ACT_LOG", "syscalls": [
          {"names": ["mount", "umask", "mseal"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
          {"names": ["socket"], "action": "SCMP_ACT_KILL_PROCESS",
           "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]}]})")};
}

std::vector<seccomp_data> Calls() {
  std::vector<seccomp_data> calls;
  for (const uint32_t architecture : {AUDIT_ARCH_X86_64, uint32_t{AUDIT_ARCH_I386},
                                      AUDIT_ARCH_AARCH64, uint32_t{AUDIT_ARCH_S390X}}) {
    for (const uint64_t argument : {uint64_t{0}, uint64_t{1}, uint64_t{40}, ~uint64_t{0}}) {
      const auto add = [&](int number) {
        seccomp_data call = {};
        call.nr = number;
        call.arch = architecture;
        std::fill(std::begin(call.args), std::end(call.args), argument);
        calls.push_back(call);
      };
      for (int number = 0; number < 480; ++number) add(number);
      for (const int number : {-1, 5000, 0x40000000, 0x40000001, 0x40000200}) add(number);
    }
  }
  return calls;
}

std::vector<uint32_t> Results(const Filter& filter, const std::vector<seccomp_data>& calls) {
  std::vector<uint32_t> results;
  for (const seccomp_data& call : calls) results.push_back(Run(filter, call));
  return results;
}

TEST_CASE("a merged filter gives every call the stricter result, the base's of equal ones") {
  const std::vector<seccomp_data> calls = Calls();
  const std::vector<Filter> filters = Filters();
  std::vector<std::vector<uint32_t>> results;
  for (const Filter& filter : filters) results.push_back(Results(filter, calls));
  for (size_t base = 0; base < filters.size(); ++base) {
    for (size_t other = 0; other < filters.size(); ++other) {
      CAPTURE(base, other);
      const absl::StatusOr<Filter> merged = MergeFilters(filters[base], filters[other]);
      REQUIRE(merged.ok());
      std::vector<uint32_t> expected;
      for (size_t i = 0; i < calls.size(); ++i)
        expected.push_back(OfBoth(results[base][i], results[other][i]));
      const bool same = Results(*merged, calls) == expected;
      CHECK(same);
      // Beside the default profile there is room for an artifact that is as long.
      if (base == 0) CHECK(merged->size() < filters[base].size() + filters[other].size() + 100);
    }
  }
}

TEST_CASE("filters that are too long together, or compute their result, are not merged") {
  const Filter allow = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  Filter longest(ipc::kMaxSeccompInstructions - 1, sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0});
  longest.push_back(allow[0]);
  CHECK(Run(longest, {}) == SECCOMP_RET_ALLOW);
  CheckRefused(MergeFilters(longest, allow).status(), "more than 4080 instructions");
  // Of what cannot matter nothing is left.
  const absl::StatusOr<Filter> merged = MergeFilters(allow, longest);
  REQUIRE(merged.ok());
  CHECK(merged->size() == 2);
  CHECK(Run(*merged, {}) == SECCOMP_RET_ALLOW);
  const Filter computed = {{BPF_RET | BPF_A, 0, 0, 0}};
  CHECK(absl::IsInternal(MergeFilters(allow, computed).status()));
  CHECK(absl::IsInternal(MergeFilters(computed, allow).status()));
}

}  // namespace
}  // namespace crisp::spec
