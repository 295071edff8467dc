// What crisp play does not know it refuses, with file, line and field.
#include "cli/manifest/yaml_document.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

struct Refused {
  const char* what;
  std::string text;
  std::string refusal;
};

void CheckAll(const std::vector<Refused>& cases) {
  for (const Refused& one : cases) {
    CAPTURE(one.what);
    CHECK(Refusal(one.text) == one.refusal);
  }
}

}  // namespace

TEST_CASE("unknown fields are refused by path and line, never ignored") {
  const std::string unknown = ": is not a field that crisp play knows";
  CheckAll({
      {"of a pod", PodText("nodeName: x\n"), "pod.yaml:9: nodeName" + unknown},
      {"of a spec", PodText("  tolerations: []\n"), "pod.yaml:9: spec.tolerations" + unknown},
      {"of a container", PodText("    imagePullpolicy: Never\n"),
       "pod.yaml:9: spec.containers[0].imagePullpolicy" + unknown},
      {"of an item", PodText("    env:\n    - name: A\n      val: x\n"),
       "pod.yaml:11: spec.containers[0].env[0].val" + unknown},
      {"with null", PodText("  affinity:\n"), "pod.yaml:9: spec.affinity" + unknown},
      {"two of them", PodText("  a: 1\n  b: 2\n"),
       "pod.yaml:9: spec.a" + unknown + "\npod.yaml:10: spec.b" + unknown},
  });
}

TEST_CASE("values of a wrong type are refused with what was expected") {
  CheckAll({
      {"a number for text", PodText("    workingDir: 7\n"),
       "pod.yaml:9: spec.containers[0].workingDir: 7 is not text: put it in quotes"},
      {"yes for text", PodText("    command: [yes]\n"),
       "pod.yaml:9: spec.containers[0].command[0]: yes is not text: put it in quotes"},
      {"text for a number", PodText("  terminationGracePeriodSeconds: \"5\"\n"),
       "pod.yaml:9: spec.terminationGracePeriodSeconds: must be a number from 0 to 31536000, not "
       "\"5\""},
      {"text for a bool", PodText("  hostNetwork: \"true\"\n"),
       "pod.yaml:9: spec.hostNetwork: must be true or false, not \"true\""},
      {"an object for a list", PodText("  volumes: {}\n"),
       "pod.yaml:9: spec.volumes: must be a list, not an object"},
      {"a quantity", PodText("    resources: {limits: {memory: 1Gb}}\n"),
       "pod.yaml:9: spec.containers[0].resources.limits.memory: \"1Gb\" must be a quantity such as "
       "500m, 1.5 or 64Mi, at most 2^63-1"},
      {"a word", PodText("  restartPolicy: Sometimes\n"),
       "pod.yaml:9: spec.restartPolicy: must be one of Always, OnFailure, Never"},
  });
}

TEST_CASE("values that contradict each other are refused") {
  CheckAll({
      {"a volume that is not there", PodText("    volumeMounts: [{name: v, mountPath: /v}]\n"),
       "pod.yaml:9: spec.containers[0].volumeMounts[0].name: \"v\" is not in volumes"},
      {"a volume without a name", PodText("    volumeMounts: [{name: \"\", mountPath: /v}]\n"),
       "pod.yaml:9: spec.containers[0].volumeMounts[0].name: is missing"},
      {"a pull secret without a name", PodText("  imagePullSecrets: [{name: \"\"}]\n"),
       "pod.yaml:9: spec.imagePullSecrets[0].name: is missing"},
      {"two volumes of a name",
       PodText("  volumes:\n  - {name: v, emptyDir: {}}\n  - {name: v, emptyDir: {}}\n"),
       "pod.yaml:11: spec.volumes[1].name: two volumes are named v"},
      {"a pod without a container",
       "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n",
       "pod.yaml:4: spec.containers: must not be empty"},
      {"a container without an image",
       "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: "
       "}]\n",
       "pod.yaml:5: spec.containers[0].image: is missing"},
      {"a volume of two kinds",
       PodText("  volumes:\n  - name: v\n    emptyDir: {}\n    hostPath:\n"
               "      path: /x\n"),
       "pod.yaml:10: spec.volumes[0]: must have only one of hostPath, emptyDir, configMap, secret, "
       "image, downwardAPI, projected"},
      {"a volume of an unknown kind", PodText("  volumes: [{name: v, nfs: {path: /x}}]\n"),
       "pod.yaml:9: spec.volumes[0].nfs: is not a field that crisp play knows"},
      {"a sub path that leads out",
       PodText("    volumeMounts: [{name: v, mountPath: /v, subPath: a/../..}]\n"
               "  volumes: [{name: v, emptyDir: {}}]\n"),
       "pod.yaml:9: spec.containers[0].volumeMounts[0].subPath: \"a/../..\" must be a relative "
       "path "
       "without \"..\""},
      {"a request above its limit",
       PodText("    resources: {limits: {cpu: 1}, requests: {cpu: 1001m}}\n"),
       "pod.yaml:9: spec.containers[0].resources.requests: cpu must not be more than its limit"},
      {"a size that nobody measures",
       PodText("  volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}]\n"),
       "pod.yaml:9: spec.volumes[0].emptyDir.sizeLimit: is only for medium Memory"},
      {"an address of the host that is none",
       PodText("    ports: [{containerPort: 1, hostIP: here}]\n"),
       "pod.yaml:6: spec.containers: c has hostIP \"here\", which must be an IP address"},
      {"a container whose resources are read",
       PodText("    env:\n    - name: A\n      valueFrom:\n"
               "        resourceFieldRef: {containerName: d, resource: limits.cpu}\n"),
       "pod.yaml:6: spec.containers: c reads container \"d\", which is not in the pod"},
      {"a port of the host twice",
       PodText("    ports: [{containerPort: 1, hostPort: 80}]\n  - name: d\n    image: i\n"
               "    ports: [{containerPort: 2, hostPort: 80}]\n"),
       "pod.yaml:6: spec.containers: hostPort 80 is given twice"},
      {"a port of the host for two protocols",
       PodText("    ports:\n    - {containerPort: 1, hostPort: 80}\n"
               "    - {containerPort: 1, hostPort: 80, protocol: UDP}\n"),
       ""},
      {"a port of the host's network twice",
       PodText("    ports: [{containerPort: 80}]\n  - name: d\n    image: i\n"
               "    ports: [{containerPort: 80}]\n  hostNetwork: true\n"),
       "pod.yaml:6: spec.containers: hostPort 80 is given twice"},
      {"a name of two ports",
       PodText("    ports: [{name: web, containerPort: 1}, {name: web, containerPort: 2}]\n"),
       "pod.yaml:9: spec.containers[0].ports: two ports are named web"},
      {"huge pages without a limit",
       PodText("    resources: {requests: {cpu: 1, hugepages-2Mi: 2Mi}}\n"),
       "pod.yaml:9: spec.containers[0].resources.requests: hugepages-2Mi must have an equal limit"},
      {"huge pages alone", PodText("    resources: {limits: {hugepages-2Mi: 2Mi}}\n"),
       "pod.yaml:9: spec.containers[0].resources.limits: hugepages need cpu or memory beside them"},
      {"a host path that leads up",
       PodText("  volumes: [{name: v, hostPath: {path: /a/../b, type: Directory}}]\n"),
       "pod.yaml:9: spec.volumes[0].hostPath.path: must not contain \"..\""},
      {"a file in the place of the volume's own",
       PodText("  volumes: [{name: v, configMap: {name: m, optional: true, items: [{key: k, path: "
               "..data/x}]}}]\n"),
       "pod.yaml:9: spec.volumes[0].configMap.items[0].path: \"..data/x\" must not begin with "
       "\"..\": such names are the volume's own"},
      {"a name that would add lines",
       PodText("  hostAliases: [{ip: 10.1.2.3, hostnames: [\"a b\"]}]\n"),
       "pod.yaml:9: spec.hostAliases[0].hostnames: \"a b\" must be lower-case letters, digits, '-' "
       "and '.', at most 253, as in a DNS name"},
      {"two process namespaces", PodText("  hostPID: true\n  shareProcessNamespace: true\n"),
       "pod.yaml:10: spec.shareProcessNamespace: must not be given together with hostPID"},
      {"service links", PodText("  enableServiceLinks: true\n"),
       "pod.yaml:9: spec.enableServiceLinks: must be false: there are no services without a "
       "cluster"},
      {"restartPolicy of a container", PodText("    restartPolicy: Always\n"),
       "pod.yaml:9: spec.containers[0].restartPolicy: is not a field that crisp play knows"},
  });
}

TEST_CASE("probes and hooks that cannot work are refused") {
  const std::string probe = "    livenessProbe: ";
  const std::string path = "pod.yaml:9: spec.containers[0].livenessProbe";
  CheckAll({
      {"two handlers", PodText(probe + "{exec: {command: [a]}, grpc: {port: 1}}\n"),
       path + ": must have exactly one of exec, httpGet, tcpSocket, grpc"},
      {"no handler", PodText(probe + "{periodSeconds: 1}\n"),
       path + ": must have exactly one of exec, httpGet, tcpSocket, grpc"},
      {"a port that is not there", PodText(probe + "{tcpSocket: {port: web}}\n"),
       path + ".tcpSocket.port: \"web\" is not the name of a port of the container"},
      {"a port that is",
       PodText("    ports: [{name: web, containerPort: 80}]\n" + probe +
               "{httpGet: {port: web, path: /x}}\n"),
       ""},
      {"a number of none", PodText(probe + "{tcpSocket: {port: 0}}\n"),
       path + ".tcpSocket.port: must be from 1 to 65535 or a name"},
      {"two successes", PodText(probe + "{exec: {command: [a]}, successThreshold: 2}\n"),
       path + ".successThreshold: must be a number from 0 to 1, not \"2\""},
      {"of an init container",
       PodText("  initContainers:\n  - {name: d, image: i, lifecycle: {}}\n"),
       "pod.yaml:10: spec.initContainers[0].lifecycle: is not for init containers without "
       "restartPolicy Always"},
      {"a socket in a hook", PodText("    lifecycle: {preStop: {tcpSocket: {port: 1}}}\n"),
       "pod.yaml:9: spec.containers[0].lifecycle.preStop.tcpSocket: is not a field that crisp play "
       "knows"},
  });
}

TEST_CASE("references to what is not in the files are refused, unless they are optional") {
  const std::string env =
      "    env:\n    - name: A\n      valueFrom:\n        configMapKeyRef: {name: m, key: k";
  const std::string map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n";
  CheckAll({
      {"no object", PodText(env + "}\n"),
       "pod.yaml:12: spec.containers[0].env[0].valueFrom.configMapKeyRef: ConfigMap \"m\" of "
       "namespace default is not in the given files"},
      {"no key", PodText(env + "}\n") + map,
       "pod.yaml:12: spec.containers[0].env[0].valueFrom.configMapKeyRef: ConfigMap \"m\" has no "
       "key \"k\""},
      {"optional", PodText(env + ", optional: true}\n"), ""},
      {"there", PodText(env + "}\n") + map + "data: {k: v}\n", ""},
      {"a pull secret", PodText("  imagePullSecrets: [{name: s}]\n"),
       "pod.yaml:9: spec.imagePullSecrets[0]: Secret \"s\" of namespace default is not in the "
       "given files"},
      {"the same pod again", PodText("") + "---\n" + PodText(""),
       "pod.yaml:12: metadata: a second pod is named p"},
  });
}

TEST_CASE("documents that are not understood are refused by line") {
  const std::string job =
      "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  template:\n    spec:\n"
      "      containers: [{name: c, image: i}]\n";
  CheckAll({
      {"an unknown kind", "apiVersion: v1\nkind: Service\nspec: {}\n",
       "pod.yaml:2: kind: \"Service\" must be one of ConfigMap, DaemonSet, Deployment, Job, Pod, "
       "Secret"},
      {"a wrong version", "apiVersion: v1beta1\nkind: ConfigMap\nmetadata: {name: m}\n",
       "pod.yaml:1: apiVersion: must be v1 for ConfigMap"},
      {"a Job that never ends", job,
       "pod.yaml:5: spec.template: restartPolicy must be OnFailure or Never in a Job"},
      {"a Job that ends", job + "      restartPolicy: Never\n", ""},
      {"the same key twice", "kind: Pod\nkind: Pod\n", "pod.yaml:2: kind is given twice"},
      {"a merge key", "a: &x {b: c}\nd:\n  <<: *x\n", "pod.yaml:3: merge keys are not supported"},
      {"a list", "- a\n", "pod.yaml:1: must be an object, not a list"},
      {"a secret that is not base64",
       "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: \"*\"}\n",
       "pod.yaml:4: data: the value of k must be base64"},
  });
}

TEST_CASE("a selector must match the labels of the template") {
  const std::string text =
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n"
      "  selector: {matchLabels: {app: a}}\n  template:\n    metadata: {labels: {app: b}}\n"
      "    spec:\n      containers: [{name: c, image: i}]\n";
  CHECK(Refusal(text) == "pod.yaml:5: spec.selector: app=a is not among the template's labels");
}

TEST_CASE("a refusal is one line, whatever the manifest has in its values") {
  CHECK(Refusal("apiVersion: v1\nkind: \"\\e[2J\\n\"\nspec: {}\n") ==
        "pod.yaml:2: kind: \"\\x1b[2J\\n\" must be one of ConfigMap, DaemonSet, Deployment, Job, "
        "Pod, Secret");
}

TEST_CASE("a document of aliases that grows without end is refused") {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = absl::StrCat("*a", i - 1);
    absl::StrAppend(&text, "a", i, ": &a", i, " [", last);
    for (int n = 1; n < 10; ++n) absl::StrAppend(&text, ", ", last);
    text += "]\n";
  }
  CHECK_THAT(Refusal(text), Catch::Contains("more than 100000 values or 64 levels"));
}

TEST_CASE("what kubectl create --dry-run writes is taken") {
  CHECK(Refusal("apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: null\n  name: p\n"
                "spec:\n  containers:\n  - image: i\n    name: c\n    resources: {}\n"
                "  dnsPolicy: ClusterFirst\n  restartPolicy: Always\nstatus: {}\n") == "");
}

TEST_CASE("when files get their group is not asked for: they are always new") {
  CHECK(Refusal(PodText(
            "  securityContext: {fsGroup: 1, fsGroupChangePolicy: OnRootMismatch}\n")) == "");
}

TEST_CASE("a document with directives can follow others") {
  const std::string text = "# a pod\n%YAML 1.2\n---\n" + PodText("");
  CHECK(Refusal(text) == "");
  const auto appended = [](const std::string& more) {
    std::string all = "a\n";
    AppendDocuments(more, all);
    return all.substr(2);
  };
  CHECK(appended(text) == "---\n---\n" + PodText(""));
  CHECK(appended("%YAML 1.2") == "---\n\n");
  CHECK(appended(PodText("")) == "---\n" + PodText(""));
  CHECK(appended("\xef\xbb\xbfkind: Pod") == "---\nkind: Pod\n");
  // The text has all its line breaks, and no other.
  CHECK(appended("a: |+\n  b\n\n") == "---\na: |+\n  b\n\n");
}

}  // namespace crisp::cli
