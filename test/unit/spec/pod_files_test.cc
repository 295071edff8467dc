#include "spec/pod_files.h"

#include "spec_fixture.h"

namespace crisp::spec {
namespace {

TEST_CASE("resolv.conf and host name come from the configuration, else from the node") {
  using ::runtime::v1::PodSandboxConfig;
  const std::string host_network =
      "linux { security_context { namespace_options { network: NODE } } }";
  CHECK(ResolvConf({}, "host\n") == "host\n");
  CHECK(ResolvConf(Proto<PodSandboxConfig>("dns_config {}"), "host\n") == "host\n");
  CHECK(ResolvConf(
            Proto<PodSandboxConfig>("dns_config { servers: ['1.1.1.1', '::1'] searches: ['a', 'b'] "
                                    "options: ['ndots:5', 'edns0'] }"),
            "host\n") == "search a b\nnameserver 1.1.1.1\nnameserver ::1\noptions ndots:5 edns0\n");
  CHECK(Hostname(Proto<PodSandboxConfig>("hostname: 'h'"), "node") == "h");
  CHECK(Hostname(Proto<PodSandboxConfig>(host_network), "node") == "node");
  CHECK(Hostname({}, "node") == "node");
}

}  // namespace
}  // namespace crisp::spec
