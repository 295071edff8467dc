// Resources, security and names of a pod, each by tables.
#include "cli/pod_dns.h"
#include "cli/pod_resources.h"
#include "cli/pod_security.h"
#include "manifest_fixture.h"

namespace crisp::cli {

TEST_CASE("the QoS class and the cgroup of a pod follow from its resources") {
  struct Case {
    const char* resources;
    QosClass qos;
    const char *plain, *systemd;
  };
  const Case cases[] = {
      {"{}", QosClass::kBestEffort, "/kubepods/besteffort/poda-b",
       "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-poda_b.slice"},
      {"{requests: {cpu: 1}}", QosClass::kBurstable, "/kubepods/burstable/poda-b",
       "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice"},
      {"{limits: {cpu: 1}}", QosClass::kBurstable, "/kubepods/burstable/poda-b",
       "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice"},
      {"{limits: {cpu: 1, memory: 1Mi}}", QosClass::kGuaranteed, "/kubepods/poda-b",
       "/kubepods.slice/kubepods-poda_b.slice"},
      {"{limits: {cpu: 1, memory: 2Mi}, requests: {memory: 1Mi}}", QosClass::kBurstable,
       "/kubepods/burstable/poda-b",
       "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice"}};
  for (const Case& one : cases) {
    CAPTURE(one.resources);
    const Pod pod = PodOf(absl::StrCat("    resources: ", one.resources, "\n"));
    Node node = TestNode();
    CHECK(QosOf(pod.spec) == one.qos);
    CHECK(CgroupParent(pod, "a-b", node) == one.plain);
    node.has_systemd_cgroups = true;
    CHECK(CgroupParent(pod, "a-b", node) == one.systemd);
  }
}

TEST_CASE("cpu, memory and the oom score are computed as kubelet computes them") {
  struct Case {
    const char* resources;
    int64_t shares, quota, memory, oom;
  };
  // Of 8 GiB.
  const Case cases[] = {{"{}", 2, 0, 0, 1000},
                        {"{requests: {cpu: 1m}}", 2, 0, 0, 999},
                        {"{requests: {cpu: 500m, memory: 2Gi}}", 512, 0, 0, 750},
                        {"{limits: {cpu: 5m}}", 5, 1000, 0, 999},
                        {"{limits: {cpu: 2, memory: 1Gi}}", 2048, 200000, 1073741824, -997},
                        {"{requests: {memory: 16Gi}}", 2, 0, 0, 3},
                        {"{requests: {cpu: 1000}}", 262144, 0, 0, 999},
                        {"{requests: {cpu: 1E, memory: 1E}}", 262144, 0, 0, 3}};
  for (const Case& one : cases) {
    CAPTURE(one.resources);
    const Pod pod = PodOf(absl::StrCat("    resources: ", one.resources, "\n"));
    const auto made = ContainerResources(pod.spec, pod.spec.containers[0], TestNode());
    CHECK(made.cpu_shares() == one.shares);
    CHECK(made.cpu_quota() == one.quota);
    CHECK(made.cpu_period() == 100000);
    CHECK(made.memory_limit_in_bytes() == one.memory);
    CHECK(made.oom_score_adj() == one.oom);
  }
}

TEST_CASE("on cgroup v1 swap is forbidden by the limit of memory and swap together") {
  const Pod pod = PodOf("    resources: {limits: {memory: 1Gi}}\n");
  Node node = TestNode();
  node.has_cgroup2 = false;
  const auto made = ContainerResources(pod.spec, pod.spec.containers[0], node);
  CHECK(made.memory_swap_limit_in_bytes() == 1073741824);
  CHECK(made.unified().empty());
  node.has_swap_accounting = false;
  CHECK(ContainerResources(pod.spec, pod.spec.containers[0], node).memory_swap_limit_in_bytes() ==
        0);
}

TEST_CASE("a sandbox asks for the most that runs at once") {
  const Pod pod = PodOf(
      "    resources: {requests: {cpu: 1}}\n"
      "  initContainers:\n"
      "  - {name: x, image: i, resources: {requests: {cpu: 2}}}\n"
      "  - {name: s, image: i, restartPolicy: Always, resources: {requests: {cpu: 1}}}\n"
      "  - {name: z, image: i, resources: {requests: {cpu: 3}}}\n");
  CHECK(SandboxResources(pod.spec, TestNode()).cpu_shares() == 4096);  // s and z
}

TEST_CASE("runAsNonRoot is checked against what is known of the image's user") {
  struct Case {
    const char* security;
    ImageUser image;
    const char* refusal;
  };
  const Case cases[] = {
      {"{runAsNonRoot: true}", {.uid = 7, .username = ""}, ""},
      {"{runAsNonRoot: true, runAsUser: 5}", {.uid = 0, .username = ""}, ""},
      {"{runAsNonRoot: true, runAsUser: 0}",
       {.uid = 7, .username = ""},
       "runAsNonRoot is true, but runAsUser is 0"},
      {"{runAsNonRoot: true}",
       {.uid = 0, .username = ""},
       "runAsNonRoot is true, but the image runs as root"},
      {"{runAsNonRoot: true}",
       {.uid = std::nullopt, .username = ""},
       "runAsNonRoot is true, but the image runs as root"},
      {"{runAsNonRoot: true}",
       {.uid = std::nullopt, .username = "web"},
       "runAsNonRoot is true, and whether the image's user \"web\" is root is not known: set "
       "runAsUser"},
      {"{}", {.uid = 0, .username = ""}, ""}};
  for (const Case& one : cases) {
    CAPTURE(one.security);
    const Pod pod = PodOf(absl::StrCat("    securityContext: ", one.security, "\n"));
    const auto made = ContainerSecurity(pod.spec, pod.spec.containers[0], TestInstance(pod),
                                        TestNode(), one.image);
    CHECK(std::string(made.status().message()) == one.refusal);
  }
}

TEST_CASE("a container runs as the image's user when nobody says otherwise") {
  const Pod pod = PodOf("");
  const auto made = [&](const ImageUser& user) {
    return *ContainerSecurity(pod.spec, pod.spec.containers[0], TestInstance(pod), TestNode(),
                              user);
  };
  CHECK(made({.uid = 33, .username = ""}).run_as_user().value() == 33);
  CHECK(made({.uid = std::nullopt, .username = "web"}).run_as_username() == "web");
  CHECK_FALSE(made({.uid = std::nullopt, .username = "web"}).has_run_as_user());
  CHECK(made({}).has_run_as_user());
}

TEST_CASE("dnsConfig adds to the machine's resolver, and names an option once") {
  const Pod pod = PodOf(
      "  dnsConfig:\n    nameservers: [192.0.2.53, 192.0.2.54]\n    searches: [b.example.com]\n"
      "    options: [{name: ndots, value: \"2\"}, {name: edns0}]\n");
  Node node = TestNode();
  node.resolv_conf =
      "nameserver 192.0.2.53\nsearch old\nsearch example.com. .\noptions edns0 ndots:5\n";
  const auto made = DnsMessage(pod.spec, node);
  CHECK(absl::StrJoin(made.servers(), " ") == "192.0.2.53 192.0.2.54");
  CHECK(absl::StrJoin(made.searches(), " ") == "example.com . b.example.com");
  CHECK(absl::StrJoin(made.options(), " ") == "edns0 ndots:2");
}

TEST_CASE("the hosts file has the pod and its aliases") {
  const Pod pod = PodOf("  hostAliases: [{ip: 10.1.2.3, hostnames: [a.example, b.example]}]\n");
  const std::string made = HostsFile(pod, TestInstance(pod), TestNode());
  CHECK_THAT(made, Catch::StartsWith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
  CHECK_THAT(made, Catch::EndsWith("10.88.0.5\tp\n\n# Entries added by HostAliases.\n"
                                   "10.1.2.3\ta.example\tb.example\n"));
  const Pod host = PodOf("  hostNetwork: true\n");
  CHECK(HostsFile(host, TestInstance(host), TestNode()) ==
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n");
}

}  // namespace crisp::cli
