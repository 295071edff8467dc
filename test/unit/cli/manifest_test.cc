#include "cli/manifest/quantity.h"
#include "cli/manifest/yaml_document.h"
#include "cli/pod_messages.h"
#include "manifest_fixture.h"

namespace crisp::cli {

TEST_CASE("quantities are exact and rounded up") {
  struct Case {
    const char* text;
    int64_t value, milli;
  };
  const Case cases[] = {{"0", 0, 0},
                        {"1", 1, 1000},
                        {"100m", 1, 100},
                        {"1.5", 2, 1500},
                        {".5", 1, 500},
                        {"1500m", 2, 1500},
                        {"1u", 1, 1},
                        {"64Mi", 67108864, 67108864000},
                        {"1.5Gi", 1610612736, 1610612736000},
                        {"2e3", 2000, 2000000},
                        {"1k", 1000, 1000000},
                        {"0.1m", 1, 1}};
  for (const Case& one : cases) {
    CAPTURE(one.text);
    const absl::StatusOr<Quantity> quantity = Quantity::Parse(one.text);
    REQUIRE(quantity.ok());
    CHECK(quantity->Value() == one.value);
    CHECK(quantity->MilliValue() == one.milli);
  }
  for (const char* text : {"", "-1", "m", "1Gb", "1 Gi", "0x10", "1..2", "16Ei",
                           "99999999999999999999", "1e99", "Ki"}) {
    CAPTURE(text);
    CHECK_FALSE(Quantity::Parse(text).ok());
  }
}

TEST_CASE("amounts that do not fit into 64 bits are the largest that does") {
  const Quantity most = Quantity::Of(INT64_MAX);
  CHECK((most + most).Value() == INT64_MAX);
  CHECK(most.MilliValue() == INT64_MAX);
  CHECK(most.Per(Quantity::Parse("1n").value()) == INT64_MAX);
}

TEST_CASE("plain scalars have the types that they have for kubectl") {
  for (const char* text : {"yes", "No", "on", "TRUE", "y"})
    CHECK(TypeOfPlain(text) == PlainType::kBool);
  for (const char* text : {"1", "-1", "1.5", "0644", "0o644", "0x1f", "1e3", ".5"})
    CHECK(TypeOfPlain(text) == PlainType::kNumber);
  for (const char* text : {"", "~", "null", "NULL"}) CHECK(TypeOfPlain(text) == PlainType::kNull);
  for (const char* text :
       {"1.2.3", "10.0.0.1", "nan", "infinity", "a", "1Gi", "-", "../x", "1a", "0abc"})
    CHECK(TypeOfPlain(text) == PlainType::kText);
}

TEST_CASE("defaults are those of the API server") {
  const Pod pod = PodOf(
      "    resources: {limits: {cpu: 2}}\n"
      "  - {name: d, image: i}\n"
      "  - {name: e, image: \"host:5000/i\"}\n"
      "  - {name: f, image: \"i:latest\"}\n"
      "  - {name: g, image: \"i@sha256:00\"}\n"
      "  - {name: h, image: i, imagePullPolicy: Never}\n");
  const auto policy = [&](size_t i) { return pod.spec.containers[i].pull_policy; };
  CHECK(policy(0) == PullPolicy::kIfNotPresent);
  CHECK(policy(1) == PullPolicy::kAlways);
  CHECK(policy(2) == PullPolicy::kAlways);
  CHECK(policy(3) == PullPolicy::kAlways);
  CHECK(policy(4) == PullPolicy::kIfNotPresent);
  CHECK(policy(5) == PullPolicy::kNever);
  CHECK(pod.spec.containers[0].resources.requests.at("cpu") == Quantity::Of(2));
  CHECK(pod.spec.restart_policy == RestartPolicy::kAlways);
  CHECK(pod.spec.termination_grace_period == 30);
  CHECK(pod.metadata.namespace_ == "default");
  CHECK(pod.spec.containers[0].termination_message_path == "/dev/termination-log");
}

TEST_CASE("what is zero or empty means the default where it does for the API server") {
  const Pod pod = PodOf(
      "    terminationMessagePath: \"\"\n"
      "    readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 0, timeoutSeconds: 0, "
      "successThreshold: 0, failureThreshold: 0}\n"
      "  volumes:\n  - name: a\n  - name: b\n    emptyDir:\n");
  CHECK(pod.spec.containers[0].termination_message_path == "/dev/termination-log");
  const Probe& probe = *pod.spec.containers[0].readiness_probe;
  CHECK(probe.period == 10);
  CHECK(probe.timeout == 1);
  CHECK(probe.success_threshold == 1);
  CHECK(probe.failure_threshold == 3);
  REQUIRE(pod.spec.volumes.size() == 2);
  for (const Volume& volume : pod.spec.volumes) CHECK(volume.empty_dir.has_value());
}

TEST_CASE("a workload becomes one pod of its name and namespace") {
  const Manifest manifest = Decoded(
      "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: space}\nspec:\n"
      "  selector: {matchLabels: {app: a}}\n  template:\n    metadata: {labels: {app: a}}\n"
      "    spec:\n      containers: [{name: c, image: i}]\n");
  REQUIRE(manifest.pods.size() == 1);
  CHECK(manifest.pods[0].metadata.name == "d");
  CHECK(manifest.pods[0].metadata.namespace_ == "space");
  CHECK(manifest.pods[0].metadata.labels.at("app") == "a");
}

TEST_CASE("a host name is the pod's name as far as it fits") {
  Pod pod = PodOf("");
  CHECK(pod.metadata.name == "p");
  pod.metadata.name = std::string(62, 'a') + "-b";
  const auto message = SandboxMessage(pod, TestInstance(pod), TestNode());
  CHECK(message.hostname() == std::string(62, 'a'));
}

}  // namespace crisp::cli
