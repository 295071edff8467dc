#include "cni/conf.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/printable.h"
#include "cni_fixture.h"
#include "test/unit/cni/no_descriptors.h"

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

TEST_CASE("a whole number reaches a plugin as Go's plugins take it, however it is written") {
  const auto conf = ParseConf(R"({"cniVersion":"1.0.0","name":"n","plugins":[
      {"type":"x","a":[1e+06,{"b":1500.0}],"c":-0.5,"d":1e300,"e":18446744073709551615}]})");
  REQUIRE(conf.ok());
  CHECK(conf->plugins.at(0).json ==
        R"({"a":[1000000,{"b":1500}],"c":-0.5,"d":1e+300,"e":18446744073709551615,"type":"x"})");
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

TEST_CASE("CVE-2021-20206: the names of plugins are checked in any case, as plugins read them") {
  const auto plugin = [](const std::string& members) {
    return ParseConf(R"({"cniVersion":"1.0.0","name":"n","plugins":[{)" + members + "}]}");
  };
  CHECK(Contains(Text(plugin(R"("Type":"../sh")").status()), "plugin type"));
  CHECK(Contains(Text(plugin(R"("type":"x","IPAM":{"type":"../sh"})").status()), "ipam type"));
  CHECK(Contains(Text(plugin(R"("type":"x","ipam":{"TYPE":"../sh"})").status()), "ipam type"));
  CHECK(Contains(Text(plugin(R"("type":"x","Type":"y")").status()), "type is given twice"));
  CHECK(Contains(Text(plugin(R"("type":"x","ipam":{"type":"y","tYpe":"../sh"})").status()),
                 "type is given twice"));
  const auto mixed = plugin(R"("Type":"x","Capabilities":{"portMappings":true},"IPMASQ":true)");
  REQUIRE(mixed.ok());
  CHECK(mixed->plugins[0].type == "x");
  CHECK(mixed->plugins[0].capabilities == std::vector<std::string>{"portMappings"});
  CHECK(mixed->plugins[0].masquerades);
}

TEST_CASE("a member of a plugin that is null is the same as none") {
  CHECK(ParseConf(List("n", R"([{"type":"x","ipam":null,"capabilities":null}])")).ok());
  CHECK(ParseConf(List("n", R"([{"type":"x","ipam":{"type":null}}])")).ok());
  CHECK(ParseConf(List("n", R"([{"type":"x","ipam":{"type":"host-local","dataDir":null}}])"))
            ->plugins[0]
            .lease_dir == "/var/lib/cni/networks/n");
  CHECK_FALSE(ParseConf(List("n", R"([{"type":null}])")).ok());
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

// kubelet could not read the status otherwise.
TEST_CASE("what is wrong with a file that is not UTF-8 is told in UTF-8") {
  const TempDir dir;
  (void)dir.Write("1\xfc.conf", "{\"name\": \"b\xfcro\"");
  const ConfDirectory directory = LoadConfDirectory(dir.path);
  REQUIRE(directory.skipped.size() == 1);
  CHECK_THAT(directory.skipped[0], Catch::StartsWith("1\\xfc.conf: "));
  const std::string message(directory.network.status().message());
  CHECK(message == base::Printable(message));
}

TEST_CASE("the configurations that network add-ons install are taken") {
  const struct {
    const char* name;
    const char* conf;
    std::vector<std::string> types;
  } cases[] = {
      {"calico",
       R"({"name":"k8s-pod-network","cniVersion":"0.3.1","plugins":[
          {"type":"calico","log_level":"info","nodename":"n1","mtu":0,"ipam":{"type":"calico-ipam"},
           "policy":{"type":"k8s"},"kubernetes":{"kubeconfig":"/etc/cni/net.d/calico-kubeconfig"}},
          {"type":"portmap","snat":true,"capabilities":{"portMappings":true}},
          {"type":"bandwidth","capabilities":{"bandwidth":true}}]})",
       {"calico", "portmap", "bandwidth"}},
      {"cilium",
       R"({"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni",
          "enable-debug":false,"log-file":"/var/run/cilium/cilium-cni.log"}]})",
       {"cilium-cni"}},
      {"cilium chained to portmap",
       R"({"cniVersion":"0.3.1","name":"portmap","plugins":[
          {"type":"cilium-cni","chaining-mode":"portmap"},
          {"type":"portmap","capabilities":{"portMappings":true}}]})",
       {"cilium-cni", "portmap"}},
      {"flannel",
       R"({"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel",
          "delegate":{"hairpinMode":true,"isDefaultGateway":true}},
          {"type":"portmap","capabilities":{"portMappings":true}}]})",
       {"flannel", "portmap"}},
      {"flannel before lists",
       R"({"name":"cbr0","type":"flannel",
          "delegate":{"isDefaultGateway":true}})",
       {"flannel"}},
      {"multus",
       R"({"cniVersion":"0.3.1","name":"multus-cni-network","type":"multus-shim",
          "logLevel":"verbose","capabilities":{"portMappings":true},
          "clusterNetwork":"/host/etc/cni/net.d/10-calico.conflist","delegates":[
          {"cniVersion":"0.3.1","name":"default","plugins":[{"type":"../not-run-by-us"}]}]})",
       {"multus-shim"}},
      {"aws",
       R"({"cniVersion":"0.4.0","name":"aws-cni","disableCheck":true,"plugins":[
          {"name":"aws-cni","type":"aws-cni","vethPrefix":"eni","mtu":"9001"},
          {"name":"egress-cni","type":"egress-cni","enabled":"false","ipam":{"type":"host-local",
           "ranges":[[{"subnet":"fd00::ac:00/118"}]],"routes":[{"dst":"::/0"}],
           "dataDir":"/run/cni/v4pd/egress-v6-ipam"}},
          {"type":"portmap","capabilities":{"portMappings":true},"snat":true}]})",
       {"aws-cni", "egress-cni", "portmap"}},
      {"azure",
       R"({"cniVersion":"0.3.0","name":"azure","adapterName":"","plugins":[
          {"type":"azure-vnet","mode":"transparent","ipsToRouteViaHost":["169.254.20.10"],
           "ipam":{"type":"azure-vnet-ipam"}},
          {"type":"portmap","capabilities":{"portMappings":true},"snat":true}]})",
       {"azure-vnet", "portmap"}},
      {"kindnet",
       R"({"cniVersion":"0.3.1","name":"kindnet","plugins":[{"type":"ptp","ipMasq":false,
          "ipam":{"type":"host-local","dataDir":"/run/cni-ipam-state",
          "routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.244.1.0/24"}]]},"mtu":1500},
          {"type":"portmap","capabilities":{"portMappings":true}}]})",
       {"ptp", "portmap"}},
      {"weave",
       R"({"cniVersion":"0.3.0","name":"weave","plugins":[{"name":"weave",
          "type":"weave-net","hairpinMode":true},
          {"type":"portmap","capabilities":{"portMappings":true},"snat":true}]})",
       {"weave-net", "portmap"}},
      {"istio-cni behind another",
       R"({"cniVersion":"0.3.1","name":"k8s-pod-network","plugins":[
          {"type":"calico","ipam":{"type":"host-local","subnet":"usePodCidr"}},
          {"type":"istio-cni","log_level":"info","kubernetes":{
           "exclude_namespaces":["istio-system"],"cni_bin_dir":"/opt/cni/bin"}}]})",
       {"calico", "istio-cni"}},
      {"a plugin that asks for annotations",
       R"({"cniVersion":"0.3.1","name":"c","plugins":[
          {"type":"cello-cni","capabilities":{"bandwidth":true,"portMappings":true,
           "io.kubernetes.cri.pod-annotations":true}}]})",
       {"cello-cni"}},
  };
  for (const auto& [name, text, types] : cases) {
    INFO(name);
    const auto conf = ParseConf(text, [](const std::string&) { return std::vector<PluginText>(); });
    REQUIRE(conf.ok());
    std::vector<std::string> found;
    for (const PluginConf& plugin : conf->plugins) found.push_back(plugin.type);
    CHECK(found == types);
    CHECK(ParseConf(conf->json)->json == conf->json);
  }
}

TEST_CASE("plugins in the directory with the network's name follow those of its list") {
  TempDir dir;
  const auto types = [&] {
    const ConfDirectory directory = LoadConfDirectory(dir.path);
    std::string text;
    if (!directory.network.ok()) return Text(directory.network.status());
    for (const PluginConf& plugin : directory.network->plugins) text += plugin.type + " ";
    // What is kept for DEL does not need the files.
    CHECK(ParseConf(directory.network->json)->json == directory.network->json);
    CHECK(ParseConf(directory.network->json)->plugins.size() == directory.network->plugins.size());
    return text;
  };
  REQUIRE(base::MakeDirs(base::JoinPath(dir.path, "net/x.conf"), 0755).ok());
  (void)dir.Write("net/20-c.conf", R"({"type":"c","capabilities":{"bandwidth":true}})");
  (void)dir.Write("net/10-b.conf", R"({"type":"b"})");
  (void)dir.Write("net/30-d.conflist", R"({"type":"ignored"})");
  (void)dir.Write("net/40-e.json", R"({"type":"ignored"})");
  REQUIRE(base::MakeDirs(base::JoinPath(dir.path, "other"), 0755).ok());
  (void)dir.Write("other/f.conf", R"({"type":"ignored"})");

  (void)dir.Write("10.conflist", List("net"));
  CHECK(types() == "bridge b c ");
  CHECK(LoadConfDirectory(dir.path).network->plugins[2].capabilities ==
        std::vector<std::string>{"bandwidth"});
  // For each value as a list may have it, also as a word.
  for (const char* no : {"false", R"("False")"}) {
    (void)dir.Write("10.conflist", absl::StrCat(R"({"cniVersion":"1.1.0","name":"net",)",
                                                R"("loadOnlyInlinedPlugins":)", no, "}"));
    CHECK(types() == "b c ");
  }
  for (const char* yes : {"true", R"("TRUE")"}) {
    const std::string head =
        absl::StrCat(R"({"cniVersion":"1.1.0","name":"net","loadOnlyInlinedPlugins":)", yes);
    (void)dir.Write("10.conflist", head + R"(,"plugins":[{"type":"a"}]})");
    CHECK(types() == "a ");
    (void)dir.Write("10.conflist", head + "}");
    CHECK(Contains(types(), "10.conflist: plugins: must be a list of 1 to 32 plugins"));
  }
  // One plugin's configuration is all of its network.
  (void)dir.Write("10.conflist", R"({"cniVersion":"1.0.0","name":"net","type":"single"})");
  CHECK(types() == "single ");
}

TEST_CASE("a network with an invalid plugin in its directory is skipped, and the file is named") {
  TempDir dir;
  REQUIRE(base::MakeDirs(base::JoinPath(dir.path, "net"), 0755).ok());
  (void)dir.Write("10.conflist", List("net"));
  const auto error = [&] { return Text(LoadConfDirectory(dir.path).network.status()); };
  for (const char* bad :
       {"{", "[]", "7", "{}", R"({"type":"../../bin/sh"})", R"({"type":"x","ipam":{"type":"/sh"}})",
        R"({"name":"net","plugins":[{"type":"x"}]})"}) {
    CAPTURE(bad);
    (void)dir.Write("net/50.conf", bad);
    CHECK(Contains(error(), "10.conflist: "));
    CHECK(Contains(error(), "/net/50.conf: "));
  }
  (void)dir.Write("net/50.conf", R"({"type":"x"})");
  REQUIRE(mkfifo(base::JoinPath(dir.path, "net/60.conf").c_str(), 0600) == 0);
  CHECK(Contains(error(), "/net/60.conf: not a regular file"));
  REQUIRE(base::RemoveTree(base::JoinPath(dir.path, "net/60.conf")).ok());
  (void)dir.Write("net/60.conf", R"({"type":"x"})" + std::string(600'000, ' '));
  CHECK(LoadConfDirectory(dir.path).network.ok());
  (void)dir.Write("net/70.conf", R"({"type":"x"})" + std::string(600'000, ' '));
  CHECK(Contains(error(), "/net: more than 1048576 bytes of plugins"));
  for (int i = 0; i < 32; ++i) {
    (void)dir.Write(absl::StrCat("net/", i, ".conf"), R"({"type":"x"})");
  }
  REQUIRE(base::RemoveTree(base::JoinPath(dir.path, "net/70.conf")).ok());
  CHECK(Contains(error(), "plugins: must be a list of 1 to 32 plugins"));
}

TEST_CASE("a network's name leads to no directory but the one beside its list") {
  TempDir dir;
  REQUIRE(base::MakeDirs(base::JoinPath(dir.path, "net.d"), 0755).ok());
  REQUIRE(base::MakeDirs(base::JoinPath(dir.path, "evil"), 0755).ok());
  (void)dir.Write("evil/1.conf", R"({"type":"evil"})");
  const std::string conf_dir = base::JoinPath(dir.path, "net.d");
  for (const std::string& name :
       {std::string("../evil"), dir.path + "/evil", std::string("..") + "/net.d/../evil",
        std::string("."), std::string("..")}) {
    CAPTURE(name);
    (void)dir.Write("net.d/1.conflist", R"({"cniVersion":"1.1.0","name":")" + name + "\"}");
    CHECK(Contains(Text(LoadConfDirectory(conf_dir).network.status()), "network name"));
  }
  // Nor is it asked for when the name is only a file's, or of nothing.
  (void)dir.Write("net.d/1.conflist", List("plain"));
  CHECK(LoadConfDirectory(conf_dir).network.ok());
  (void)dir.Write("net.d/plain", "a file");
  CHECK(LoadConfDirectory(conf_dir).network.ok());
}

TEST_CASE("a network that no descriptor is left for is not taken for none, nor for the next one") {
  TempDir dir;
  const char* text = R"({"cniVersion": "1.0.0", "name": "a", "plugins": [{"type": "bridge"}]})";
  dir.Write("1.conflist", text);
  dir.Write("2.conflist", text);
  absl::Status refused;
  WithoutDescriptors([&] { refused = LoadConfDirectory(dir.path).network.status(); });
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(HoldsWhenOthersTakeDescriptors([&] {
    const ConfDirectory found = LoadConfDirectory(dir.path);
    return absl::IsResourceExhausted(found.network.status()) && found.skipped.empty();
  }));
}
