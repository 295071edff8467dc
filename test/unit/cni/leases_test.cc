#include "cni/leases.h"

#include <catch2/catch.hpp>

#include "cni_fixture.h"
#include "test/unit/cni/no_descriptors.h"

using namespace crisp;
using namespace crisp::cni;

TEST_CASE("a lease that is left is found, also when there is no descriptor to read it") {
  TempDir dir;
  NetworkConf network;
  network.cni_version = "1.0.0";
  network.plugins.emplace_back();
  network.plugins[0].type = "bridge";
  network.plugins[0].lease_dir = dir.path;
  CacheEntry entry;
  entry.container_id = "pod1";
  entry.result = R"({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/n"}],
                     "ips": [{"address": "10.1.0.5/24", "interface": 0}]})";
  CHECK(CheckLeases(network, entry).ok());
  dir.Write("10.1.0.5", "pod2\r\neth0");
  CHECK(CheckLeases(network, entry).ok());
  dir.Write("10.1.0.5", "pod1\r\neth0");
  CHECK(absl::IsUnavailable(CheckLeases(network, entry)));
  absl::Status refused;
  WithoutDescriptors([&] { refused = CheckLeases(network, entry); });
  CHECK(absl::IsResourceExhausted(refused));
}
