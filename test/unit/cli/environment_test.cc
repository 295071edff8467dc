#include "cli/environment.h"

#include "manifest_fixture.h"

namespace crisp::cli {

TEST_CASE("variables are expanded as kubelet does") {
  const Environment environment = {{"A", "1"}, {"B", "$(A)"}};
  struct Case {
    const char *text, *expanded;
  };
  const Case cases[] = {
      {"$(A)", "1"},    {"x$(A)y$(A)", "x1y1"}, {"$(C)", "$(C)"}, {"$$(A)", "$(A)"},
      {"$$$(A)", "$1"}, {"$A", "$A"},           {"$(A", "$(A"},   {"$", "$"},
      {"a$", "a$"},     {"$(B)", "$(A)"},       {"$()", "$()"},   {"", ""}};
  for (const Case& one : cases) {
    CAPTURE(one.text);
    CHECK(Expand(one.text, environment, false).value() == one.expanded);
  }
  CHECK(Expand("$(C)", environment, true).status() ==
        absl::InvalidArgumentError("variable C is not set"));
}

TEST_CASE("env wins over envFrom, and later sources over earlier ones") {
  const Manifest manifest =
      Decoded(PodText("    envFrom:\n    - configMapRef: {name: m}\n    - secretRef: {name: s}\n"
                      "    - prefix: P_\n      configMapRef: {name: m}\n"
                      "    - configMapRef: {name: none, optional: true}\n"
                      "    env: [{name: A, value: own}, {name: D, value: $(A)$(B)}]\n") +
              "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {A: map, B: map}\n"
              "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {B: secret}\n");
  const Pod& pod = manifest.pods[0];
  const Environment made =
      EnvironmentOf(pod, pod.spec.containers[0], manifest, TestInstance(pod), TestNode());
  const Environment expected = {
      {"A", "own"}, {"B", "secret"}, {"P_A", "map"}, {"P_B", "map"}, {"D", "ownsecret"}};
  CHECK(made == expected);
}

TEST_CASE("bytes of a ConfigMap are files, not variables") {
  const std::string map =
      "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n"
      "data: {A: text}\nbinaryData: {B: AP8=}\n";
  const Manifest manifest = Decoded(PodText("    envFrom: [{configMapRef: {name: m}}]\n") + map);
  const Pod& pod = manifest.pods[0];
  const Environment expected = {{"A", "text"}};
  CHECK(EnvironmentOf(pod, pod.spec.containers[0], manifest, TestInstance(pod), TestNode()) ==
        expected);
  CHECK(
      Refusal(PodText("    env: [{name: B, valueFrom: {configMapKeyRef: {name: m, key: B}}}]\n") +
              map) ==
      "pod.yaml:9: spec.containers[0].env[0].valueFrom.configMapKeyRef: ConfigMap \"m\" has no key "
      "\"B\"");
}

TEST_CASE("fields of the pod and of the machine are read") {
  Pod pod = PodOf("");
  pod.metadata.labels = {{"b", "2"}, {"a", "x\"y\n\x01"}};
  pod.metadata.annotations = {{"k", "v"}};
  const PodInstance instance = TestInstance(pod);
  const auto value = [&](const char* path) { return FieldValue(path, pod, instance, TestNode()); };
  CHECK(value("metadata.name") == "p");
  CHECK(value("metadata.namespace") == "default");
  CHECK(value("metadata.uid") == instance.uid);
  CHECK(value("metadata.labels") == "a=\"x\\\"y\\n\\x01\"\nb=\"2\"");
  CHECK(value("metadata.labels['b']") == "2");
  CHECK(value("metadata.labels['c']") == "");
  CHECK(value("metadata.annotations['k']") == "v");
  CHECK(value("spec.nodeName") == "node1");
  CHECK(value("spec.serviceAccountName") == "default");
  CHECK(value("status.hostIP") == "192.0.2.1");
  CHECK(value("status.podIPs") == "10.88.0.5");
}

TEST_CASE("a limit that a container does not have is the machine's") {
  const Pod pod = PodOf("    resources: {limits: {memory: 1Mi}}\n");
  const auto value = [&](const char* resource, const char* divisor) {
    return ResourceValue(
        {.container_name = "", .resource = resource, .divisor = *Quantity::Parse(divisor)},
        pod.spec.containers[0], TestNode());
  };
  CHECK(value("limits.cpu", "1") == "4");
  CHECK(value("limits.cpu", "1m") == "4000");
  CHECK(value("limits.memory", "1Ki") == "1024");
  CHECK(value("requests.memory", "1000k") == "2");
  CHECK(value("requests.cpu", "1") == "0");
}

}  // namespace crisp::cli
