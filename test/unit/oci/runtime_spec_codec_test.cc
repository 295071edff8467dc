#include "oci/runtime_spec_codec.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace crisp::oci {
namespace {

Spec FullSpec() {
  Spec spec;
  spec.process.terminal = true;
  spec.process.user = {
      .uid = 4294967295u, .gid = 7, .umask = 022, .additional_gids = {1, 2, 4294967295u}};
  spec.process.args = {"sh", "-c", "echo \"x\"\n\t\\"};
  spec.process.env = {"A=b", "EMPTY="};
  spec.process.cwd = "/work";
  spec.process.capabilities =
      Capabilities{{"CAP_KILL"}, {"CAP_CHOWN"}, {}, {"CAP_KILL", "CAP_CHOWN"}, {"CAP_KILL"}};
  spec.process.rlimits = {{"RLIMIT_NOFILE", 1024, UINT64_MAX}};
  spec.process.no_new_privileges = true;
  spec.process.apparmor_profile = "profile";
  spec.process.selinux_label = "label";
  spec.process.oom_score_adj = -998;
  spec.root = {"rootfs", true};
  spec.hostname = "host";
  spec.mounts = {{"/a", "bind", "/b", {"rbind", "ro"}, {{0, 1000, 10}}, {{0, 2000, 10}}},
                 {"/proc", "proc", "proc", {}, {}, {}}};
  spec.annotations = {{"k", "v"}, {"seccomp", "{not a profile"}};
  Linux& l = spec.linux_;
  l.uid_mappings = {{0, 100000, 65536}};
  l.gid_mappings = {{0, 100000, 65536}};
  l.sysctl = {{"net.ipv4.ip_forward", "1"}};
  l.resources.emplace();
  l.resources->devices = {{true, 'c', 1, 3, "rwm"}, {false, 'a', {}, {}, "rwm"}};
  l.resources->memory_limit = -1;
  l.resources->memory_swap = int64_t{1} << 40;
  l.resources->cpu_shares = 2;
  l.resources->cpu_quota = -1;
  l.resources->cpu_period = 100000;
  l.resources->cpuset_cpus = "0-1";
  l.resources->cpuset_mems = "0";
  l.resources->pids_limit = 100;
  l.resources->hugepage_limits = {{"2MB", 0}};
  l.resources->unified = {{"memory.high", "max"}};
  l.cgroups_path = "/a/b";
  l.namespaces = {{"pid", ""}, {"network", "/run/netns/x"}};
  l.devices = {{"/dev/x", 'b', 8, 1, 0640, 1, 2}, {"/dev/fifo", 'p', 0, 0, {}, {}, {}}};
  l.seccomp = Seccomp{
      "SCMP_ACT_ERRNO",
      38,
      {"SCMP_ARCH_X86_64"},
      {"SECCOMP_FILTER_FLAG_LOG"},
      {{{"read", "write"}, "SCMP_ACT_ALLOW", {}, {{0, 5, UINT64_MAX, "SCMP_CMP_MASKED_EQ"}}},
       {{"clone3"}, "SCMP_ACT_ERRNO", 38, {}}}};
  l.rootfs_propagation = "rshared";
  l.masked_paths = {"/proc/kcore"};
  l.readonly_paths = {"/proc/sys"};
  l.mount_label = "label";
  return spec;
}

absl::Status Decode(const std::string& text) { return DecodeRuntimeSpec(text).status(); }

}  // namespace

TEST_CASE("every member survives a round trip") {
  const std::string text = EncodeRuntimeSpec(FullSpec());
  const absl::StatusOr<Spec> decoded = DecodeRuntimeSpec(text);
  INFO(text << decoded.status());
  REQUIRE(decoded.ok());
  CHECK(EncodeRuntimeSpec(*decoded) == text);
  CHECK(decoded->process.user.uid == 4294967295u);
  CHECK(decoded->process.rlimits[0].hard == UINT64_MAX);
  CHECK(decoded->process.capabilities->ambient == std::vector<std::string>{"CAP_KILL"});
  CHECK(decoded->linux_.resources->memory_limit == -1);
  CHECK(decoded->linux_.devices[0].file_mode == 0640);
  CHECK(decoded->linux_.seccomp->syscalls[0].args[0].value_two == UINT64_MAX);
  CHECK(decoded->linux_.resources->devices[0].minor == 3);
  CHECK_FALSE(decoded->linux_.resources->devices[1].major.has_value());
}

TEST_CASE("DecodeRuntimeSpecWithoutSeccomp drops the profile and nothing else") {
  Spec spec = FullSpec();
  const absl::StatusOr<Spec> cut = DecodeRuntimeSpecWithoutSeccomp(EncodeRuntimeSpec(spec));
  REQUIRE(cut.ok());
  CHECK_FALSE(cut->linux_.seccomp.has_value());
  spec.linux_.seccomp.reset();
  CHECK(EncodeRuntimeSpec(*cut) == EncodeRuntimeSpec(spec));
  // Texts without a profile, some of which contain its name elsewhere.
  CHECK(DecodeRuntimeSpecWithoutSeccomp(EncodeRuntimeSpec(spec)).ok());
  CHECK(DecodeRuntimeSpecWithoutSeccomp("{\"hostname\":\"\\\"seccomp\\\":{\"}")->hostname ==
        "\"seccomp\":{");
  CHECK_FALSE(DecodeRuntimeSpecWithoutSeccomp("{\"linux\":{\"seccomp\":{").ok());
  CHECK_FALSE(DecodeRuntimeSpecWithoutSeccomp("{\"linux\":{\"seccomp\":}").ok());
}

TEST_CASE("exec.json has what an added process needs, and not the rest") {
  const Spec spec = FullSpec();
  const std::string text = EncodeExecSpec(spec);
  const absl::StatusOr<Spec> part = DecodeExecSpec(text);
  INFO(text << part.status());
  REQUIRE(part.ok());
  Spec expected;
  expected.process = spec.process;
  expected.process.args.clear();
  expected.linux_.namespaces = spec.linux_.namespaces;
  expected.linux_.uid_mappings = spec.linux_.uid_mappings;
  expected.linux_.gid_mappings = spec.linux_.gid_mappings;
  expected.version = spec.version;
  CHECK(EncodeRuntimeSpec(*part) == EncodeRuntimeSpec(expected));
  for (const char* name : {"\"mounts\"", "\"seccomp\"", "\"resources\"", "\"maskedPaths\""})
    CHECK(text.find(name) == std::string::npos);
  CHECK(DecodeExecSpec("{").status().message().find("exec.json: ") == 0);
}

TEST_CASE("an environment that is not UTF-8 comes back as it was") {
  Spec spec = FullSpec();
  spec.process.env = {"PLAIN=\xc3\xbc", "LATIN=\xfc", "CUT=\xc3", "HALF=\xed\xa0\x80\xff\n"};
  const std::string text = EncodeRuntimeSpec(spec);
  CHECK(DecodeRuntimeSpec(text)->process.env == spec.process.env);
  CHECK(DecodeRuntimeSpecWithoutSeccomp(text)->process.env == spec.process.env);
}

TEST_CASE("absent members and null are empty, unknown members are ignored") {
  const absl::StatusOr<Spec> spec = DecodeRuntimeSpec(
      R"({"ociVersion":"1.0.2","process":{"args":null,"user":{}},"linux":null,"later":{"x":[1]}})");
  REQUIRE(spec.ok());
  CHECK(spec->process.args.empty());
  CHECK_FALSE(spec->process.capabilities.has_value());
  CHECK_FALSE(spec->linux_.resources.has_value());
  CHECK(spec->process.cwd == "/");
}

TEST_CASE("an invalid config.json is refused, naming the member") {
  const auto says = [](const std::string& text, const std::string& words) {
    const absl::Status status = Decode(text);
    INFO(text << " " << status);
    return absl::IsInvalidArgument(status) && absl::StrContains(status.message(), words);
  };
  CHECK(says("", "config.json: "));
  CHECK(says("[]", "must be an object"));
  CHECK(says("{", "parse error"));
  CHECK(says(R"({"process":{"args":"sh"}})", "args: type must be array"));
  CHECK(says(R"({"process":{"user":{"uid":4294967296}}})", "uid: 4294967296 is out of range"));
  CHECK(says(R"({"process":{"user":{"uid":-1}}})", "uid: -1 is out of range"));
  CHECK(says(R"({"process":{"user":{"uid":1.5}}})", "uid: type must be integer, but is 1.5"));
  CHECK(says(R"({"process":{"user":{"uid":"0"}}})", "uid: type must be integer, but is string"));
  CHECK(says(R"({"process":{"user":{"additionalGids":[1,4294967296]}}})",
             "additionalGids: 4294967296 is out of range"));
  CHECK(says(R"({"linux":{"devices":[{"type":"char"}]}})", "\"char\": must be one letter"));
  CHECK(says(R"({"process":{"env":["A=b"],"binaryEnv":{"1":"QT0="}}})", "binaryEnv \"1\""));
  CHECK(says(R"({"process":{"env":["A=b"],"binaryEnv":{"0":"?"}}})", "binaryEnv \"0\""));
  CHECK(says(R"({"hooks":{"prestart":[{"path":"/x"}]}})", "hooks are not supported"));
  CHECK(Decode(R"({"hooks":{}})").ok());
  CHECK(says(std::string(200, '['), "nested more than"));
}

}  // namespace crisp::oci
