#include "cni/conf.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "cni_fixture.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

std::string List(const std::string& name, const std::string& plugins = R"([{"type":"bridge"}])") {
  return absl::StrCat(R"({"cniVersion":"1.0.0","name":")", name, R"(","plugins":)", plugins, "}");
}

absl::Status ParseStatus(const std::string& text) { return ParseConf(text).status(); }

}  // namespace

TEST_CASE("numbers in a plugin's options reach it unchanged") {
  const auto conf = ParseConf(
      R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"x","rate":1e6,"low":-0.5}]})");
  REQUIRE(conf.ok());
  const base::Json plugin = base::Json::parse(conf->plugins.at(0).json);
  CHECK(plugin.at("rate") == 1e6);
  CHECK(plugin.at("low") == -0.5);
}

TEST_CASE("ParseConf reads a list") {
  const auto conf = ParseConf(List("net", R"([
      {"type":"bridge","ipam":{"type":"host-local"}},
      {"type":"portmap","capabilities":{"portMappings":true,"bandwidth":false}}])"));
  REQUIRE(conf.ok());
  CHECK(conf->name == "net");
  CHECK(conf->cni_version == "1.0.0");
  REQUIRE(conf->plugins.size() == 2);
  CHECK(conf->plugins[0].type == "bridge");
  CHECK(conf->plugins[1].capabilities == std::vector<std::string>{"portMappings"});
  CHECK(ParseConf(conf->json)->json == conf->json);
}

TEST_CASE("ParseConf takes an empty dataDir for none, as host-local does") {
  const auto lease_dir = [](const std::string& ipam) {
    return ParseConf(List("net", R"([{"type":"bridge","ipam":{"type":"host-local")" + ipam + "}}]"))
        ->plugins[0]
        .lease_dir;
  };
  CHECK(lease_dir("") == "/var/lib/cni/networks/net");
  CHECK(lease_dir(R"(,"dataDir":"")") == "/var/lib/cni/networks/net");
  CHECK(lease_dir(R"(,"dataDir":"/leases")") == "/leases/net");
}

TEST_CASE("ParseConf wraps one plugin's configuration into a list") {
  const auto conf = ParseConf(R"({"cniVersion":"0.3.1","name":"one","type":"ptp","mtu":9})");
  REQUIRE(conf.ok());
  CHECK(conf->name == "one");
  REQUIRE(conf->plugins.size() == 1);
  CHECK(conf->plugins[0].type == "ptp");
  CHECK(ParseConf(conf->json)->plugins[0].json == conf->plugins[0].json);
}

TEST_CASE("ParseConf takes the newest offered version that is supported") {
  const auto conf = ParseConf(
      R"({"cniVersion":"0.4.0","cniVersions":["1.0.0","1.1.0","9.0.0"],"name":"n",
          "plugins":[{"type":"x"}]})");
  REQUIRE(conf.ok());
  CHECK(conf->cni_version == "1.1.0");
  CHECK(Text(ParseStatus(R"({"cniVersion":"9.0.0","name":"n","plugins":[{"type":"x"}]})")) ==
        "cniVersion \"9.0.0\": is not supported");
}

TEST_CASE("a configuration without a version has 0.1.0, and the oldest versions are supported") {
  // As meta plugins are installed: one plugin, no version.
  CHECK(ParseConf(R"({"name":"n","type":"multus","delegates":[]})")->cni_version == "0.1.0");
  CHECK(ParseConf(R"({"cniVersion":"","name":"n","plugins":[{"type":"x"}]})")->cni_version ==
        "0.1.0");
  CHECK(ParseConf(R"({"cniVersion":"0.2.0","name":"n","type":"x"})")->cni_version == "0.2.0");
  CHECK(ParseConf(R"({"cniVersions":["0.3.1"],"name":"n","type":"x"})")->cni_version == "0.3.1");
}

TEST_CASE("disableGC may be a word, as for libcni") {
  const auto conf = [](const std::string& value) {
    return ParseConf(R"({"name":"n","plugins":[{"type":"x"}],"disableGC":)" + value + "}");
  };
  CHECK(conf("true")->disable_gc);
  CHECK(conf(R"("True")")->disable_gc);
  CHECK_FALSE(conf(R"("false")")->disable_gc);
  CHECK(Contains(Text(conf(R"("yes")").status()), "disableGC \"yes\": must be true or false"));
  CHECK_FALSE(conf("1").ok());
}

TEST_CASE("CVE-2021-20206: a plugin type that is not a plain file name is refused") {
  for (const char* type : {"../../bin/sh", "/bin/sh", "a/b", "..", ".", "", "sh\\u0000x", "a b"}) {
    CAPTURE(type);
    const std::string plugin = absl::StrCat(R"([{"type":")", type, R"("}])");
    CHECK(Contains(Text(ParseStatus(List("n", plugin))), "plugin type"));
  }
  CHECK(Contains(Text(ParseStatus(List("n", R"([{"type":"x","ipam":{"type":"../sh"}}])"))),
                 "ipam type"));
}

TEST_CASE("ParseConf refuses an invalid configuration and names the member") {
  CHECK(Contains(Text(ParseStatus("{")), "network config"));
  CHECK_FALSE(ParseStatus("[]").ok());
  CHECK_FALSE(ParseStatus("7").ok());
  CHECK_FALSE(ParseStatus(std::string(200, '[')).ok());
  CHECK(Contains(Text(ParseStatus(List("../x"))), "network name"));
  CHECK(Contains(Text(ParseStatus(List(std::string(129, 'n')))), "network name"));
  CHECK(Contains(Text(ParseStatus(List("n", "[]"))), "plugins"));
  CHECK(Contains(Text(ParseStatus(List("n", "{}"))), "plugins"));
  CHECK_FALSE(ParseStatus(List("n", "[7]")).ok());
  CHECK_FALSE(ParseStatus(List("n", R"([{"type":7}])")).ok());
  CHECK_FALSE(ParseStatus(List("n", R"([{"type":"x","capabilities":{"a":"yes"}}])")).ok());
}

TEST_CASE("LoadConfDirectory takes the first valid file and follows every change") {
  TempDir dir;
  const auto name_of = [&] {
    const ConfDirectory directory = LoadConfDirectory(dir.path);
    return directory.network.ok() ? directory.network->name : Text(directory.network.status());
  };
  CHECK(name_of() == absl::StrCat("no network config found in ", dir.path));
  (void)dir.Write("20-b.conflist", List("b"));
  CHECK(name_of() == "b");
  (void)dir.Write("10-a.conf", R"({"cniVersion":"1.0.0","name":"a","type":"x"})");
  CHECK(name_of() == "a");
  (void)dir.Write("05-notes.txt", List("ignored"));
  (void)dir.Write("05-broken.json", "{");
  CHECK(name_of() == "a");
  CHECK(LoadConfDirectory(dir.path).skipped.size() == 1);
  REQUIRE(base::WriteExisting(base::JoinPath(dir.path, "10-a.conf"), "").ok());  // in place
  CHECK(name_of() == "b");
  REQUIRE(base::RemoveTree(dir.path).ok());
  CHECK(name_of() == absl::StrCat("no network config found in ", dir.path));
  REQUIRE(base::MakeDirs(dir.path, 0755).ok());
  (void)dir.Write("10-c.conflist", List("c"));
  CHECK(name_of() == "c");
}

TEST_CASE("LoadConfDirectory names invalid files and does not block on FIFOs or devices") {
  TempDir dir;
  REQUIRE(mkfifo(base::JoinPath(dir.path, "1.conf").c_str(), 0600) == 0);
  REQUIRE(mkdir(base::JoinPath(dir.path, "2.conf").c_str(), 0700) == 0);
  REQUIRE(symlink("/dev/zero", base::JoinPath(dir.path, "3.conf").c_str()) == 0);
  (void)dir.Write("4.conf", std::string((1 << 20) + 1, ' '));
  (void)dir.Write("5.conf", List("n", R"([{"type":"../sh"}])"));
  const ConfDirectory directory = LoadConfDirectory(dir.path);
  CHECK(directory.network.status().code() == absl::StatusCode::kUnavailable);
  REQUIRE(directory.skipped.size() == 5);
  CHECK(directory.skipped[0] == "1.conf: not a regular file");
  CHECK(directory.skipped[3] == "4.conf: more than 1048576 bytes");
  CHECK(Contains(Text(directory.network.status()), "5.conf: plugin type \"../sh\""));
}
