#include "config/config.h"

#include <catch2/catch.hpp>
#include <regex>

#include "absl/strings/str_split.h"
#include "base/file.h"

using namespace crisp;

namespace {

absl::StatusOr<config::CommandLine> Parse(std::vector<const char*> args) {
  args.insert(args.begin(), "crispd");
  return config::ParseCommandLine(static_cast<int>(args.size()), args.data());
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

TEST_CASE("a flag overrides the file, the file overrides the default") {
  const std::string file = "/tmp/crisp-config-test.toml";
  REQUIRE(base::WriteFileAtomic(file, "root = '/a'\nstate = '/b'\n[cni]\nbin_dirs = ['/x', '/y']\n",
                                0600)
              .ok());
  const auto line = Parse({"--config", file.c_str(), "--state", "/c"});
  REQUIRE(line.ok());
  CHECK(line->config.root == "/a");
  CHECK(line->config.state == "/c");
  CHECK(line->config.address == "/run/crisp/crisp.sock");
  CHECK(line->config.cni.bin_dirs == std::vector<std::string>{"/x", "/y"});
  CHECK(base::RemoveTree(file).ok());
}

TEST_CASE("plugins are executed unless the native engine is switched on, in the file or by flag") {
  CHECK_FALSE(Parse({})->config.cni.native);
  config::Config config;
  REQUIRE(config::ApplyToml("[cni]\nnative = true", config).ok());
  CHECK(config.cni.native);
  CHECK(config::Validate(config).ok());
  CHECK(config::ApplyToml(config::ToToml(config), config).ok());
  CHECK(config.cni.native);
  const auto line = Parse({"--cni-native", "true"});
  REQUIRE(line.ok());
  CHECK(line->config.cni.native);
}

TEST_CASE("unknown keys and flags are refused by name") {
  config::Config config;
  CHECK(Message(config::ApplyToml("adress = '/x'", config)).find("line 1: adress: unknown key") !=
        std::string::npos);
  CHECK(Message(config::ApplyToml("[cni]\n\nnativ = true", config))
            .find("line 3: cni.nativ: unknown key") != std::string::npos);
  CHECK(Message(config::ApplyToml("root = 3", config)).find("line 1: root: wrong type") !=
        std::string::npos);
  CHECK(Message(config::ApplyToml("root = ", config)).find("line 1") != std::string::npos);
  const auto line = Parse({"--adress", "/x"});
  CHECK(line.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Message(line.status()).find("--adress") != std::string::npos);
}

TEST_CASE("a file named by --config must exist, the default file may be missing") {
  CHECK(Parse({"--config", "/nonexistent.toml"}).status().code() == absl::StatusCode::kNotFound);
  CHECK(Parse({}).ok());
}

TEST_CASE("relative paths, unknown drivers and log levels are refused") {
  CHECK(Message(Parse({"--root", "relative"}).status()).find("root \"relative\"") !=
        std::string::npos);
  CHECK(Message(Parse({"--cgroup-driver", "magic"}).status()).find("magic") != std::string::npos);
  CHECK(Parse({"--cgroup-driver", "systemd"}).ok());
  CHECK_FALSE(Parse({"--log-level", "loud"}).ok());
}

TEST_CASE("--print-config prints a file that gives the same configuration") {
  config::Config config, again;
  config.root = "/quoted \"root\"";
  config.cni.bin_dirs = {"/one", "/two"};
  REQUIRE(config::ApplyToml(config::ToToml(config), again).ok());
  CHECK(config::ToToml(again) == config::ToToml(config));
}

// Every value is another one than the default first, so a key the file leaves out shows, too.
TEST_CASE("deploy/config.toml has every key with its default") {
  const std::string defaults = config::ToToml(config::Config());
  std::string others = std::regex_replace(defaults, std::regex("'([^']*)'"), "'$1/other'");
  others = std::regex_replace(others, std::regex("false"), "true");
  const std::vector<std::string> before = absl::StrSplit(defaults, '\n');
  const std::vector<std::string> after = absl::StrSplit(others, '\n');
  REQUIRE(before.size() == after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    INFO(before[i]);
    if (before[i].find(" = ") != std::string::npos) REQUIRE(before[i] != after[i]);
  }
  config::Config config;
  REQUIRE(config::ApplyToml(others, config).ok());
  REQUIRE(config::ToToml(config) == others);
  const absl::StatusOr<std::string> shipped = base::ReadFile(CRISP_DEPLOY_CONFIG);
  REQUIRE(shipped.ok());
  REQUIRE(config::ApplyToml(*shipped, config).ok());
  CHECK(config::ToToml(config) == defaults);
}
