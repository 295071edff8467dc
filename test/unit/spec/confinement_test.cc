// Capabilities, devices, AppArmor profiles.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "spec/apparmor.h"
#include "spec/capabilities.h"
#include "spec_fixture.h"

namespace crisp::spec {
namespace {

using Strings = std::vector<std::string>;

TEST_CASE("capabilities: defaults, ALL, additions and drops, never more than crispd has") {
  const linux::CapabilityMask all = (linux::CapabilityMask{1} << 41) - 1;
  const auto caps = [&](const std::string& text, linux::CapabilityMask held) {
    const auto context = Proto<::runtime::v1::LinuxContainerSecurityContext>(text);
    return CapabilitiesOf(context, held).sets;
  };
  const Strings defaults = {"CAP_CHOWN",       "CAP_DAC_OVERRIDE", "CAP_FOWNER",
                            "CAP_FSETID",      "CAP_KILL",         "CAP_SETGID",
                            "CAP_SETUID",      "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE",
                            "CAP_NET_RAW",     "CAP_SYS_CHROOT",   "CAP_MKNOD",
                            "CAP_AUDIT_WRITE", "CAP_SETFCAP"};
  struct Case {
    const char* text;
    Strings names;
  };
  Strings without_raw = defaults;
  without_raw.erase(std::find(without_raw.begin(), without_raw.end(), "CAP_NET_RAW"));
  const Case cases[] = {
      {"", defaults},
      {"capabilities { drop_capabilities: 'NET_RAW' }", without_raw},
      {"capabilities { drop_capabilities: 'CAP_net_raw' }", without_raw},
      {"capabilities { drop_capabilities: 'ALL' }", {}},
      {"capabilities { drop_capabilities: 'all' add_capabilities: 'SYS_TIME' }", {"CAP_SYS_TIME"}},
      {"capabilities { drop_capabilities: 'SYS_TIME' drop_capabilities: 'ALL' "
       "add_capabilities: 'SYS_TIME' }",
       {}},
      {"capabilities { drop_capabilities: 'ALL' add_capabilities: 'ALL' }", {}},
      {"privileged: true", linux::CapabilityNames(all)},
      {"privileged: true capabilities { drop_capabilities: 'ALL' }", linux::CapabilityNames(all)},
  };
  for (const Case& test : cases) {
    CAPTURE(test.text);
    const oci::Capabilities result = caps(test.text, all);
    CHECK(result.bounding == test.names);
    CHECK(result.permitted == test.names);
    CHECK(result.effective == test.names);
    CHECK(result.inheritable.empty());
    CHECK(result.ambient.empty());
  }
  CHECK(caps("capabilities { add_capabilities: 'ALL' }", all).bounding.size() == 41);
  CHECK(caps("capabilities { add_capabilities: 'ALL' drop_capabilities: 'SYS_ADMIN' }", all)
            .bounding.size() == 40);
  // Never more than crispd has.
  CHECK(caps("", 1).bounding == Strings{"CAP_CHOWN"});
  CHECK(caps("privileged: true", 1).bounding == Strings{"CAP_CHOWN"});
  CHECK(caps("capabilities { add_capabilities: 'SYS_ADMIN' }", 1).bounding == Strings{"CAP_CHOWN"});

  const oci::Capabilities ambient =
      caps("capabilities { drop_capabilities: 'ALL' add_ambient_capabilities: 'NET_ADMIN' }", all);
  CHECK(ambient.ambient == Strings{"CAP_NET_ADMIN"});
  CHECK(ambient.inheritable == Strings{"CAP_NET_ADMIN"});
  CHECK(ambient.permitted == Strings{"CAP_NET_ADMIN"});
  CHECK(caps("capabilities { drop_capabilities: 'KILL' add_ambient_capabilities: 'KILL' }", all)
            .ambient.empty());
  CHECK(caps("capabilities { drop_capabilities: 'KILL' add_ambient_capabilities: 'ALL' }", all)
            .ambient.size() == 13);
  CHECK(HeldCapabilities() != 0);
}

TEST_CASE("an unknown capability is ignored with a warning, the words beside it count") {
  for (const char* name : {"NOT", "", "CAP_", "CAP_CAP_KILL", "KILL ", "ALLX"}) {
    for (const auto& [field, shown] :
         {std::pair("add_capabilities", "add"), std::pair("drop_capabilities", "drop"),
          std::pair("add_ambient_capabilities", "ambient")}) {
      CAPTURE(name, field);
      const std::string both = absl::StrCat(field, ": '", name, "' ", field, ": 'NET_RAW'");
      const std::string known = absl::StrCat(field, ": 'NET_RAW'");
      const auto made = Container(Security(absl::StrCat("capabilities { ", both, " }"))).Make();
      REQUIRE(made.ok());
      const oci::Spec expected =
          Container(Security(absl::StrCat("capabilities { ", known, " }"))).Spec();
      CHECK(made->spec.process.capabilities->bounding == expected.process.capabilities->bounding);
      CHECK(made->spec.process.capabilities->ambient == expected.process.capabilities->ambient);
      CHECK(made->warnings == Strings{absl::StrCat("capabilities.", shown, "[0] \"", name,
                                                   "\": is not a capability, ignored")});
    }
  }
}

std::string Describe(const oci::DeviceRule& rule) {
  const auto number = [](std::optional<int64_t> n) { return n ? absl::StrCat(*n) : "*"; };
  return absl::StrCat(rule.allow ? "allow " : "deny ", std::string(1, rule.type), " ",
                      number(rule.major), ":", number(rule.minor), " ", rule.access);
}
Strings RulesOf(const oci::Spec& spec) {
  Strings result;
  for (const oci::DeviceRule& rule : spec.linux_.resources->devices) {
    result.push_back(Describe(rule));
  }
  return result;
}

TEST_CASE("a container may use its own nodes and the configured ones, a privileged one all") {
  const Strings defaults = {"deny a *:* rwm",  "allow c *:* m",    "allow b *:* m",
                            "allow c 1:3 rwm", "allow c 1:5 rwm",  "allow c 1:7 rwm",
                            "allow c 1:8 rwm", "allow c 1:9 rwm",  "allow c 5:0 rwm",
                            "allow c 5:2 rwm", "allow c 136:* rwm"};
  const oci::Spec plain = Container("").Spec();
  CHECK(plain.linux_.devices.empty());
  CHECK(RulesOf(plain) == defaults);

  const oci::Spec spec = Container(R"(
      devices { host_path: "/dev/null" container_path: "/dev/mine" permissions: "r" }
      devices { host_path: "/dev/zero" permissions: "mrw" })")
                             .Spec();
  Strings rules = defaults;
  rules.insert(rules.end(), {"allow c 1:3 r", "allow c 1:5 mrw"});
  CHECK(RulesOf(spec) == rules);
  REQUIRE(spec.linux_.devices.size() == 2);
  CHECK(spec.linux_.devices[0].path == "/dev/mine");
  CHECK(spec.linux_.devices[0].type == 'c');
  CHECK(spec.linux_.devices[0].major == 1);
  CHECK(spec.linux_.devices[0].minor == 3);
  CHECK(spec.linux_.devices[0].file_mode == 0666u);
  CHECK(spec.linux_.devices[1].path == "/dev/zero");

  const oci::Spec privileged =
      Container(Security("privileged: true"), Security("privileged: true")).Spec();
  CHECK(RulesOf(privileged) == Strings{"allow a *:* rwm"});
  Strings paths;
  for (const oci::Device& device : privileged.linux_.devices) {
    paths.push_back(device.path);
    CHECK_THAT(device.path, Catch::StartsWith("/dev/"));
    CHECK_THAT(device.path, !Catch::StartsWith("/dev/pts/"));
  }
  CHECK(std::count(paths.begin(), paths.end(), "/dev/null") == 1);
  CHECK(std::count(paths.begin(), paths.end(), "/dev/console") == 0);
}

TEST_CASE("a device may be given by a link or a directory; other files are refused") {
  char directory[] = "/tmp/crisp-spec-XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  const std::string dir = directory;
  REQUIRE(symlink("/dev/full", (dir + "/link").c_str()) == 0);
  const auto make = [&](const std::string& host) {
    return Container(absl::StrCat("devices { host_path: '", host,
                                  "' container_path: '/dev/x' permissions: 'rw' }"))
        .Make();
  };
  const absl::StatusOr<ContainerSpecResult> link = make(dir + "/link");
  REQUIRE(link.ok());
  REQUIRE(link->spec.linux_.devices.size() == 1);
  CHECK(link->spec.linux_.devices[0].path == "/dev/x");
  CHECK(link->spec.linux_.devices[0].minor == 7);
  // A directory: its links are not followed.
  CHECK(make(dir)->spec.linux_.devices.empty());
  const absl::StatusOr<ContainerSpecResult> all = make("/dev");
  REQUIRE(all.ok());
  CHECK(std::any_of(all->spec.linux_.devices.begin(), all->spec.linux_.devices.end(),
                    [](const oci::Device& device) { return device.path == "/dev/x/null"; }));
  CheckRefused(make("/etc/passwd").status(), "hostPath \"/etc/passwd\"");
  CHECK(absl::IsNotFound(make(dir + "/missing").status()));
  unlink((dir + "/link").c_str());
  rmdir(directory);
}

TEST_CASE("a container with an AppArmor profile never starts without it") {
  const linux::AppArmor without;
  const linux::AppArmor with = {.enabled = true, .profiles = "crisp-default (enforce)\nmine (x)\n"};
  const linux::AppArmor without_default = {.enabled = true, .profiles = "mine (x)\n"};
  const auto profile = [](const std::string& text, const linux::AppArmor& host) {
    return AppArmorProfile(Proto<::runtime::v1::LinuxContainerSecurityContext>(text), host);
  };
  const std::string local = "apparmor { profile_type: Localhost localhost_ref: ";
  CHECK(*profile("", with) == "crisp-default");
  CHECK(*profile("", without) == "");
  CHECK(*profile("", without_default) == "");
  CHECK(*profile("apparmor {}", with) == "crisp-default");
  CHECK(*profile("apparmor {}", without) == "");
  CHECK(absl::IsFailedPrecondition(profile("apparmor {}", without_default).status()));
  CHECK(absl::IsFailedPrecondition(
      profile("apparmor_profile: 'runtime/default'", without_default).status()));
  CHECK(*profile("apparmor { profile_type: Unconfined }", with) == "");
  CHECK(*profile(local + "'mine' }", with) == "mine");
  CHECK(*profile(local + "'localhost/mine' }", with) == "mine");
  CHECK(*profile("apparmor_profile: 'localhost/mine'", with) == "mine");
  CHECK(*profile("apparmor_profile: 'unconfined'", with) == "");
  CHECK(*profile("apparmor_profile: 'runtime/default'", with) == "crisp-default");
  CHECK(*profile("privileged: true", with) == "");
  CHECK(*profile("privileged: true " + local + "'mine' }", with) == "");
  const absl::Status missing = profile(local + "'mine' }", without).status();
  CHECK(absl::IsFailedPrecondition(missing));
  CHECK_THAT(std::string(missing.message()), Catch::Contains("the host has no AppArmor"));
  CHECK(absl::IsFailedPrecondition(profile(local + "'min' }", with).status()));
  CHECK(absl::IsFailedPrecondition(profile(local + "'none' }", with).status()));
  CheckRefused(profile(local + "'' }", with).status(), "appArmorProfile.localhostProfile");
  CheckRefused(profile(local + "'mine (x)\\ncrisp-default' }", with).status(), "localhostProfile");
  CheckRefused(profile("apparmor { profile_type: 7 }", with).status(), "appArmorProfile.type 7");
  CheckRefused(profile("apparmor_profile: 'mine'", with).status(), "apparmor_profile \"mine\"");
}

}  // namespace
}  // namespace crisp::spec
