#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "spec/seccomp.h"
#include "spec/seccomp_default.h"
#include "spec/seccomp_profile_codec.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using Strings = std::vector<std::string>;

constexpr char kNative[] = "SCMP_ARCH_X86_64";

absl::StatusOr<oci::Seccomp> Decode(const std::string& text, const Strings& caps = {}) {
  oci::Capabilities capabilities;
  capabilities.bounding = caps;
  const SeccompHost host = {
      .architecture = "amd64", .native = kNative, .kernel_major = 6, .kernel_minor = 1};
  return DecodeSeccompProfile(text, capabilities, host);
}

TEST_CASE("a profile in the OCI form is decoded") {
  const absl::StatusOr<oci::Seccomp> profile = Decode(R"({
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "listenerPath": "/x",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
      {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null},
      {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
       "args": [{"index": 1, "value": 18446744073709551615, "valueTwo": 2,
                 "op": "SCMP_CMP_MASKED_EQ"}]}]})");
  INFO(profile.status());
  REQUIRE(profile.ok());
  CHECK(profile->default_action == "SCMP_ACT_ERRNO");
  CHECK(profile->default_errno_ret == 38u);
  CHECK(profile->architectures == Strings{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"});
  CHECK(profile->flags == Strings{"SECCOMP_FILTER_FLAG_LOG"});
  REQUIRE(profile->syscalls.size() == 2);
  CHECK(profile->syscalls[0].names == Strings{"read", "write"});
  CHECK_FALSE(profile->syscalls[0].errno_ret.has_value());
  CHECK(profile->syscalls[1].errno_ret == 13u);
  REQUIRE(profile->syscalls[1].args.size() == 1);
  CHECK(profile->syscalls[1].args[0].index == 1);
  CHECK(profile->syscalls[1].args[0].value == UINT64_MAX);
  CHECK(profile->syscalls[1].args[0].value_two == 2);
  CHECK(profile->syscalls[1].args[0].op == "SCMP_CMP_MASKED_EQ");
}

TEST_CASE("in Docker's form, only rules for this host and these capabilities apply") {
  const char text[] = R"({
    "defaultAction": "SCMP_ACT_ERRNO",
    "archMap": [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                {"architecture": "SCMP_ARCH_X86_64",
                 "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
    "syscalls": [
      {"name": "a", "action": "SCMP_ACT_ALLOW", "comment": "x", "includes": {}, "excludes": {}},
      {"names": ["b"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X", "CAP_Y"]}},
      {"names": ["c"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_X"]}},
      {"names": ["d"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
      {"names": ["e"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["x86", "amd64"]}},
      {"names": ["f"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
      {"names": ["g"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
      {"names": ["h"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
      {"names": ["i"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.1"}},
      {"names": ["j"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.2"}}]})";
  const auto names = [&](const Strings& caps) {
    const absl::StatusOr<oci::Seccomp> profile = Decode(text, caps);
    INFO(profile.status());
    REQUIRE(profile.ok());
    CHECK(profile->architectures == Strings{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"});
    std::string all;
    for (const oci::SeccompSyscall& rule : profile->syscalls) absl::StrAppend(&all, rule.names[0]);
    return all;
  };
  CHECK(names({}) == "acegj");
  CHECK(names({"CAP_X"}) == "aegj");
  CHECK(names({"CAP_Y"}) == "acegj");
  CHECK(names({"CAP_X", "CAP_Y"}) == "abegj");
}

TEST_CASE("a rule that names no system calls does nothing") {
  const absl::StatusOr<oci::Seccomp> profile = Decode(R"({"defaultAction": "SCMP_ACT_ALLOW",
      "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}, {"action": "SCMP_ACT_KILL"}]})");
  REQUIRE(profile.ok());
  CHECK(CompileSeccomp(*profile).ok());
}

TEST_CASE("malformed profiles are refused, naming the member") {
  const auto rule = [](const std::string& members) {
    return absl::StrCat(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{)", members, "}]}");
  };
  const auto args = [&](const std::string& list) {
    return rule(absl::StrCat(R"("names": ["a"], "action": "SCMP_ACT_ERRNO", "args": )", list));
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "seccomp profile"},
      {"{", "seccomp profile"},
      {"[]", "must be an object"},
      {"{}", "defaultAction is missing"},
      {R"({"defaultAction": "SCMP_ACT_NOTIFY"})", "SCMP_ACT_NOTIFY"},
      {R"({"defaultAction": "ALLOW"})", "\"ALLOW\""},
      {R"({"defaultAction": 5})", "seccomp profile"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096})", "4096"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1})", "-1"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "flags": ["X"]})", "\"X\""},
      {R"({"defaultAction": "SCMP_ACT_ERRNO",
           "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]})",
       "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\""},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": {}})", "must be an array"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["A"],
           "archMap": [{"architecture": "B"}]})",
       "must not be given together"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "archMap": 5})", "archMap"},
      {rule(R"("names": ["a"])"), "action is missing"},
      {rule(R"("names": ["a"], "action": "SCMP_ACT_NOTIFY")"), "SCMP_ACT_NOTIFY"},
      {rule(R"("names": ["a"], "name": "b", "action": "SCMP_ACT_ERRNO")"),
       "name and names must not"},
      {rule(R"("names": [5], "action": "SCMP_ACT_ERRNO")"), "seccomp profile"},
      {rule(R"("names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99999)"), "99999"},
      {args("{}"), "args"},
      {args(R"([{"index": 6, "op": "SCMP_CMP_EQ"}])"), "index 6"},
      {args(R"([{"index": 0, "op": "EQ"}])"), "\"EQ\""},
      {args(R"([{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}])"), "value -1"},
      {args("[{},{},{},{},{},{},{}]"), "args"},
      {rule(R"("names": ["a"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "x"})"),
       "minKernel \"x\": must be a version"},
      {rule(R"("names": ["a"], "action": "SCMP_ACT_ERRNO", "includes": [])"), "must be an object"},
      {std::string(100000, '['), "deep"},
  };
  for (const auto& [text, part] : cases) {
    CAPTURE(text.substr(0, 200));
    CheckRefused(Decode(text).status(), part);
  }
  std::string many = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)";
  for (int i = 0; i < 16385; ++i) {
    absl::StrAppend(&many, i == 0 ? "" : ",", R"({"name":"a","action":"SCMP_ACT_ERRNO"})");
  }
  CheckRefused(Decode(many + "]}").status(), "16384");
}

TEST_CASE("the profile field wins over the deprecated path") {
  using ::runtime::v1::SecurityProfile;
  const oci::Capabilities none;
  const auto select = [&](const std::string& text, const std::string& deprecated) {
    const auto profile = Proto<SecurityProfile>(text);
    return SelectSeccomp(&profile, deprecated, none);
  };
  CHECK_FALSE(SelectSeccomp(nullptr, "", none)->has_value());
  CHECK_FALSE(SelectSeccomp(nullptr, "unconfined", none)->has_value());
  CHECK((*SelectSeccomp(nullptr, "runtime/default", none))->syscalls.size() > 1);
  CHECK((*select("", "unconfined"))->syscalls.size() > 1);  // the profile wins
  CHECK_FALSE(select("profile_type: Unconfined", "")->has_value());
  CheckRefused(SelectSeccomp(nullptr, "nonsense", none).status(), "\"nonsense\"");
  CheckRefused(select("profile_type: 8", "").status(), "seccompProfile.type 8");
}

TEST_CASE("an artifact is merged with the default profile, or with the one that it names") {
  using ::runtime::v1::SecurityProfile;
  char name[] = "/tmp/crisp-spec-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  const std::string file = std::string(name) + "/base.json";
  REQUIRE(base::WriteFileAtomic(file, R"({"defaultAction": "SCMP_ACT_LOG"})", 0600).ok());
  const std::string kOci = "profile_type: OCI oci_ref: 'host/repo@sha256:0' ";
  const oci::Capabilities none;
  const auto select = [&](const std::string& text) {
    const auto profile = Proto<SecurityProfile>(text);
    return SelectSeccomp(&profile, "", none);
  };
  CHECK((*select(kOci))->default_action == "SCMP_ACT_ERRNO");
  CHECK((*select(kOci + "base_profile {}"))->syscalls.size() > 1);
  const std::string localhost =
      absl::StrCat(kOci, "base_profile { type: Localhost localhost_ref: '", file, "' }");
  CHECK((*select(localhost))->default_action == "SCMP_ACT_LOG");
  CheckRefused(select(kOci + "base_profile { type: Localhost localhost_ref: 'x' }").status(),
               "seccompProfile.oci.baseProfile.localhostProfile \"x\"");

  const auto artifact = Proto<SecurityProfile>(kOci);
  const std::string document = R"({"defaultAction": "SCMP_ACT_ALLOW"})";
  CHECK((*ArtifactSeccomp(artifact, document, none))->default_action == "SCMP_ACT_ALLOW");
  const absl::Status missing = ArtifactSeccomp(artifact, std::nullopt, none).status();
  CHECK(absl::IsFailedPrecondition(missing));
  CHECK(missing.message() ==
        "seccompProfile.oci.reference \"host/repo@sha256:0\": the profile was not pulled");
  CheckRefused(ArtifactSeccomp(artifact, "{", none).status(), "host/repo@sha256:0");
  CHECK_FALSE(ArtifactSeccomp(SecurityProfile(), document, none)->has_value());
  CHECK(base::RemoveTree(name).ok());
}

TEST_CASE("an artifact's document that no container could use is refused when it is pulled") {
  CHECK(CheckSeccompArtifact(R"({"defaultAction": "SCMP_ACT_ERRNO"})").ok());
  CheckRefused(CheckSeccompArtifact("not JSON"), "seccomp profile");
  CheckRefused(CheckSeccompArtifact(R"({"defaultAction": "SCMP_ACT_NOTIFY"})"), "SCMP_ACT_NOTIFY");
  CheckRefused(CheckSeccompArtifact(
                   R"({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_FLY"]})"),
               "SCMP_ARCH_FLY");
}

TEST_CASE("a Localhost profile is a regular file below 1 MiB at an absolute path") {
  using ::runtime::v1::SecurityProfile;
  char name[] = "/tmp/crisp-spec-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  const std::string directory = name;
  const std::string file = directory + "/p.json";
  const auto select = [](const std::string& path) {
    SecurityProfile profile;
    profile.set_profile_type(SecurityProfile::Localhost);
    profile.set_localhost_ref(path);
    return SelectSeccomp(&profile, "", oci::Capabilities());
  };
  const auto write = [&](const std::string& text) {
    REQUIRE(base::WriteFileAtomic(file, text, 0600).ok());
  };
  write(R"({"defaultAction": "SCMP_ACT_ALLOW"})");
  CHECK((*select(file))->default_action == "SCMP_ACT_ALLOW");
  CHECK((*SelectSeccomp(nullptr, "localhost/" + file, oci::Capabilities()))->default_action ==
        "SCMP_ACT_ALLOW");
  CHECK((*select("localhost/" + file))->default_action == "SCMP_ACT_ALLOW");
  write("{");
  CheckRefused(select(file).status(), file);
  write(std::string((1 << 20) + 1, ' '));
  CHECK(absl::IsOutOfRange(select(file).status()));
  CheckRefused(select(directory + "/missing").status(), directory + "/missing");
  CheckRefused(select("p.json").status(), "localhostProfile \"p.json\"");
  CheckRefused(select("").status(), "localhostProfile \"\"");
  CheckRefused(select(directory + "/../x").status(), "localhostProfile");
  CheckRefused(select(directory).status(), "not a regular file");
  CheckRefused(select("/dev/zero").status(), "not a regular file");
  REQUIRE(mkfifo((directory + "/fifo").c_str(), 0600) == 0);
  CheckRefused(select(directory + "/fifo").status(), "not a regular file");  // and does not hang
  CHECK(base::RemoveTree(directory).ok());
}

}  // namespace
}  // namespace crisp::spec
