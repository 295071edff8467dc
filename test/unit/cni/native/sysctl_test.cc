#include "cni/native/sysctl.h"

#include <catch2/catch.hpp>

#include "native_fixture.h"
#include "test/unit/cni/no_descriptors.h"

using namespace crisp::cni;
using namespace crisp::cni::native;

TEST_CASE("a setting that the kernel lacks is passed over, one that was not tried is an error") {
  LeaseDir dir;
  dir.Write("accept_ra", "1");
  const std::string path = dir.path + "/accept_ra";
  CHECK(SysctlPath("ipv6", "veth1", "accept_ra") == "/proc/sys/net/ipv6/conf/veth1/accept_ra");
  CHECK(SetIfThere(dir.path + "/none", "0").ok());
  absl::Status refused;
  WithoutDescriptors([&] { refused = SetIfThere(path, "0"); });
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(dir.Read("accept_ra") == "1");
  CHECK(SetIfThere(path, "0").ok());
  CHECK(dir.Read("accept_ra") == "0");
}
