#include "config/config.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>

#include "absl/strings/str_cat.h"
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
  CHECK(line->config.address == std::vector<std::string>{"/run/crisp/crisp.sock"});
  CHECK(line->config.cni.bin_dirs == std::vector<std::string>{"/x", "/y"});
  CHECK(base::RemoveTree(file).ok());
}

TEST_CASE("address is a socket or a list of them, in the file and by flags") {
  using Sockets = std::vector<std::string>;
  config::Config config;
  REQUIRE(config::ApplyToml("address = '/a'", config).ok());
  CHECK(config.address == Sockets{"/a"});
  REQUIRE(config::ApplyToml("address = ['/a', '/run/containerd/containerd.sock']", config).ok());
  CHECK(config.address == Sockets{"/a", "/run/containerd/containerd.sock"});
  CHECK(config::Validate(config).ok());
  config::Config again;
  REQUIRE(config::ApplyToml(config::ToToml(config), again).ok());
  CHECK(again.address == config.address);
  CHECK(Parse({"--address", "/b", "--address", "/c"})->config.address == Sockets{"/b", "/c"});
  CHECK(Message(config::ApplyToml("address = [3]", config)) == "line 1: address: wrong type");
  config.address = {"/a", "/a"};
  CHECK(Message(config::Validate(config)) == "address \"/a\": is given twice");
  config.address = {"/a", "b"};
  CHECK(Message(config::Validate(config)) == "address \"b\": must be an absolute path");
  config.address.clear();
  CHECK(Message(config::Validate(config)) == "address: must name a socket");
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

namespace {

// The configuration as TOML with another value than `defaults` has for every key.
std::string OtherValues(const std::string& defaults) {
  const std::string others = std::regex_replace(defaults, std::regex("'([^']*)'"), "'$1/other'");
  return std::regex_replace(others, std::regex("false"), "true");
}

// Every key with its table: "cni.native".
std::vector<std::string> AllKeys() {
  std::vector<std::string> keys;
  std::string table;
  const std::vector<std::string> lines = absl::StrSplit(config::ToToml(config::Config()), '\n');
  for (const std::string& line : lines) {
    std::smatch parts;
    if (std::regex_match(line, parts, std::regex(R"( *\[(\w+)\])"))) {
      table = parts[1].str() + ".";
    } else if (std::regex_match(line, parts, std::regex(R"( *(\w+) = .*)"))) {
      keys.push_back(table + parts[1].str());
    }
  }
  return keys;
}

}  // namespace

TEST_CASE("a reload names each changed key that counts only from the next start on") {
  config::Config running, read;
  CHECK(config::KeysForNextStart(running, read).empty());
  read.log_level = "debug";
  read.cdi.spec_dirs = {"/other"};
  CHECK(config::KeysForNextStart(running, read).empty());
  read.root = "/other";
  read.cni.native = true;
  CHECK(config::KeysForNextStart(running, read) == std::vector<std::string>{"root", "cni.native"});

  REQUIRE(config::ApplyToml(OtherValues(config::ToToml(config::Config())), read).ok());
  std::vector<std::string> named = config::KeysForNextStart(running, read);
  named.insert(named.end(), {"log_level", "cdi.spec_dirs"});
  CHECK_THAT(named, Catch::UnorderedEquals(AllKeys()));
}

TEST_CASE("crisp-config(5) has every key and says which a reload changes") {
  const absl::StatusOr<std::string> page = base::ReadFile(CRISP_CONFIG_PAGE);
  REQUIRE(page.ok());
  config::Config other;
  REQUIRE(config::ApplyToml(OtherValues(config::ToToml(config::Config())), other).ok());
  const std::vector<std::string> next = config::KeysForNextStart(config::Config(), other);
  for (const std::string& key : AllKeys()) {
    INFO(key);
    const size_t begin = page->find("\n.B " + key + "\n");
    REQUIRE(begin != std::string::npos);
    const std::string entry = page->substr(begin, page->find("\n.TP", begin) - begin);
    const bool reloaded = std::find(next.begin(), next.end(), key) == next.end();
    CHECK_THAT(entry, Catch::Contains(reloaded ? "Reloaded: yes" : "Reloaded: no"));
  }
}

TEST_CASE("--help names the flag of every key, which bash completes from it") {
  const auto line = Parse({"--help"});
  REQUIRE(line.ok());
  for (const char* flag :
       {"--config", "--print-config", "--version", "--help", "--address", "--root", "--state",
        "--log-level", "--cgroup-driver", "--cni-conf-dir", "--cni-bin-dir", "--cni-native",
        "--cdi-spec-dir", "--registry-config-path", "--streaming-address"}) {
    // A flag begins its line, or follows -h.
    CHECK_THAT(line->help, Catch::Contains(absl::StrCat("\n  ", flag, " ")) ||
                               Catch::Contains(absl::StrCat(",", flag, " ")));
  }
}

// Every value is another one than the default first, so a key the file leaves out shows, too.
TEST_CASE("deploy/config.toml has every key with its default") {
  const std::string defaults = config::ToToml(config::Config());
  const std::string others = OtherValues(defaults);
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
