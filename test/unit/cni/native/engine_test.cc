#include "cni/native/engine.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "native_fixture.h"
#include "test/unit/cni/no_descriptors.h"

using namespace crisp;
using namespace crisp::cni;
using crisp::cni::native::BridgeJson;
using crisp::cni::native::Engine;
using crisp::cni::native::LeaseDir;
using crisp::cni::native::Soon;

namespace {

// With a namespace that does not exist: an ADD that the engine takes makes nothing before it fails.
PluginCall Call(Verb verb, const std::string& type, const base::Json& conf) {
  PluginCall call;
  call.verb = verb;
  call.type = type;
  call.conf = conf.dump();
  call.container_id = "pod1";
  call.netns = "/nonexistent/netns";
  return call;
}

base::Json LoopbackJson() {
  return {{"cniVersion", "1.0.0"}, {"name", "net"}, {"type", "loopback"}};
}

}  // namespace

TEST_CASE("the engine takes ADD and DEL of bridge and loopback, if it is switched on") {
  LeaseDir dir;
  base::Json bridge = BridgeJson();
  bridge["ipam"]["dataDir"] = dir.path;
  Engine on(true);
  Engine off(false);
  for (const auto& [type, conf] :
       {std::pair<const char*, base::Json>{"bridge", bridge}, {"loopback", LoopbackJson()}}) {
    INFO(type);
    const auto added = on.Run(Call(Verb::kAdd, type, conf), Soon());
    REQUIRE(added.has_value());
    CHECK(added->status().message().find(std::string("cni add: plugin ") + type + ": open ") == 0);
    CHECK(absl::IsInternal(added->status()));
    const auto deleted = on.Run(Call(Verb::kDel, type, conf), Soon());
    REQUIRE(deleted.has_value());
    CHECK(deleted->ok());
    CHECK_FALSE(off.Run(Call(Verb::kAdd, type, conf), Soon()).has_value());
    CHECK_FALSE(off.Run(Call(Verb::kDel, type, conf), Soon()).has_value());
  }
}

TEST_CASE("other types, other verbs and options that the engine does not have are executed") {
  Engine engine(true);
  for (const char* type : {"portmap", "ptp", "host-local", "firewall", "bridge2"}) {
    CHECK_FALSE(engine.Run(Call(Verb::kAdd, type, BridgeJson()), Soon()).has_value());
  }
  for (const Verb verb : {Verb::kStatus, Verb::kGc}) {
    CHECK_FALSE(engine.Run(Call(verb, "bridge", BridgeJson()), Soon()).has_value());
    CHECK_FALSE(engine.Run(Call(verb, "loopback", LoopbackJson()), Soon()).has_value());
  }
  base::Json vlan = BridgeJson();
  vlan["vlan"] = 7;
  CHECK_FALSE(engine.Run(Call(Verb::kAdd, "bridge", vlan), Soon()).has_value());
  CHECK_FALSE(engine.Run(Call(Verb::kDel, "bridge", vlan), Soon()).has_value());
}

TEST_CASE("switched off, the engine leaves DEL to the plugin when nftables does not answer") {
  base::Json bridge = BridgeJson();
  bridge["ipMasq"] = true;
  bridge["prevResult"] = {{"ips", {{{"address", "10.1.0.5/24"}}}}};
  const PluginCall call = Call(Verb::kDel, "bridge", bridge);
  const base::Deadline over = base::Deadline::In(absl::ZeroDuration());
  CHECK_FALSE(Engine(false).Run(call, over).has_value());
  const auto deleted = Engine(true).Run(call, over);
  REQUIRE(deleted.has_value());
  CHECK_FALSE(deleted->ok());
}

TEST_CASE("switched off, the engine does not leave a DEL to the plugin for want of descriptors") {
  base::Json bridge = BridgeJson();
  bridge["ipMasq"] = true;
  bridge["prevResult"] = {{"ips", {{{"address", "10.1.0.5/24"}}}}};
  std::optional<absl::StatusOr<std::string>> deleted;
  Engine off(false);
  WithoutDescriptors([&] { deleted = off.Run(Call(Verb::kDel, "bridge", bridge), Soon()); });
  REQUIRE(deleted.has_value());
  CHECK(absl::IsResourceExhausted(deleted->status()));
}

TEST_CASE("switched off, the engine asks for its tables once") {
  if (native::Masquerading().HasTables(Soon()).value_or(false)) {
    printf("skipped: tables that are not there: another crispd has some\n");
    return;
  }
  base::Json bridge = BridgeJson();
  bridge["ipMasq"] = true;
  bridge["prevResult"] = {{"ips", {{{"address", "10.1.0.5/24"}}}}};
  const PluginCall call = Call(Verb::kDel, "bridge", bridge);
  Engine off(false);
  CHECK_FALSE(off.Run(call, Soon()).has_value());
  bool taken = true;
  WithoutDescriptors([&] { taken = off.Run(call, Soon()).has_value(); });
  CHECK_FALSE(taken);
}

TEST_CASE("switched off, the engine holds nothing open") {
  base::Json bridge = BridgeJson();
  bridge["ipMasq"] = true;
  bridge["prevResult"] = {{"ips", {{{"address", "10.1.0.5/24"}}}}};
  Engine off(false);
  const size_t before = base::ListDir("/proc/self/fd")->size();
  CHECK_FALSE(off.Run(Call(Verb::kDel, "bridge", bridge), Soon()).has_value());
  CHECK(base::ListDir("/proc/self/fd")->size() == before);
}

TEST_CASE("DEL gives the lease of a plugin's ADD back when the namespace is gone") {
  LeaseDir dir;
  base::Json bridge = BridgeJson();
  bridge["ipam"]["dataDir"] = dir.path;
  REQUIRE(mkdir((dir.path + "/net").c_str(), 0755) == 0);
  dir.Write("net/10.1.0.7", "pod1\r\neth0");
  dir.Write("net/10.1.0.8", "pod2\r\neth0");
  Engine engine(true);
  for (int i = 0; i < 2; ++i) {
    const auto deleted = engine.Run(Call(Verb::kDel, "bridge", bridge), Soon());
    REQUIRE(deleted.has_value());
    CHECK(deleted->ok());
    CHECK(dir.Read("net/10.1.0.7") == "missing");
    CHECK(dir.Read("net/10.1.0.8") == "pod2\r\neth0");
  }
}
