#include "native_fixture.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "base/file.h"

namespace crisp::cni::native {

LeaseDir::LeaseDir() {
  char name[] = "/tmp/crisp-cni-native-XXXXXX";
  path = mkdtemp(name);
}
LeaseDir::~LeaseDir() { (void)base::RemoveTree(path); }

std::string LeaseDir::Read(const std::string& name) const {
  return base::ReadFile(base::JoinPath(path, name)).value_or("missing");
}

void LeaseDir::Write(const std::string& name, const std::string& text) const {
  REQUIRE(base::WriteFileAtomic(base::JoinPath(path, name), text, 0644).ok());
}

base::Json BridgeJson() {
  return base::Json::parse(R"({
      "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "crisp0", "isGateway": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]],
               "routes": [{"dst": "0.0.0.0/0"}]}})");
}

}  // namespace crisp::cni::native
