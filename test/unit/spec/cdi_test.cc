#include "spec/cdi.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "spec/cdi_files.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

// Two directories of specifications; devices in the second one win.
struct Directories {
  std::string path;
  std::vector<std::string> list;
  Directories() {
    char name[] = "/tmp/crisp-cdi-test-XXXXXX";
    path = mkdtemp(name);
    list = {path + "/etc", path + "/run"};
    for (const std::string& directory : list) REQUIRE(base::MakeDirs(directory, 0755).ok());
  }
  ~Directories() { (void)base::RemoveTree(path); }
  void Put(const std::string& file, const std::string& text) {
    REQUIRE(base::WriteFileAtomic(path + "/" + file, text, 0644).ok());
  }
};

constexpr char kVendor[] = R"({
  "cdiVersion": "0.6.0", "kind": "vendor.com/gpu",
  "containerEdits": {"env": ["ALL=1"]},
  "devices": [
    {"name": "0", "containerEdits": {
      "env": ["GPU=0"],
      "deviceNodes": [
        {"path": "/dev/gpu0", "hostPath": "/dev/null", "permissions": "rw"},
        {"path": "/dev/gpu0ctl", "type": "c", "major": 240, "minor": 7, "fileMode": 432, "uid": 5}],
      "mounts": [{"hostPath": "/usr/lib/gpu", "containerPath": "/usr/lib/gpu",
                  "options": ["ro", "nosuid", "nodev", "bind"]}],
      "additionalGids": [44, 0]}},
    {"name": "1", "containerEdits": {"env": ["GPU=1"]}},
    {"name": "hooked", "containerEdits": {
      "hooks": [{"hookName": "createContainer", "path": "/usr/bin/vendor-hook"}]}}
  ]})";

oci::Spec Spec() {
  oci::Spec spec;
  spec.linux_.resources.emplace();
  spec.process.env = {"PATH=/bin", "GPU=none"};
  for (const char* destination : {"/proc", "/usr/lib/gpu/below"})
    spec.mounts.emplace_back().destination = destination;
  return spec;
}

absl::StatusOr<CdiEdits> Resolve(const std::vector<std::string>& names,
                                 const std::vector<std::string>& directories) {
  return CdiFiles(directories).Resolve(names);
}

// A device whose variable has this value.
std::string WithValue(const std::string& value) {
  return absl::StrCat(R"({"cdiVersion": "0.6.0", "kind": "v.com/x", "devices": [
      {"name": "0", "containerEdits": {"env": ["X=)",
                      value, R"("]}}]})");
}

v1::ContainerConfig Asking(const std::vector<std::string>& names) {
  v1::ContainerConfig config;
  for (const std::string& name : names) config.add_cdi_devices()->set_name(name);
  return config;
}

}  // namespace

TEST_CASE("CDI: edits of a file and of its devices are applied once, in the requested order") {
  Directories directories;
  directories.Put("etc/vendor.json", kVendor);
  const auto edits = Resolve({"vendor.com/gpu=1", "vendor.com/gpu=0"}, directories.list);
  REQUIRE(edits.ok());
  CHECK(edits->env == std::vector<std::string>{"ALL=1", "GPU=1", "GPU=0"});
  oci::Spec spec = Spec();
  REQUIRE(ApplyCdi(*edits, /*privileged=*/false, spec).ok());
  CHECK(spec.process.env == std::vector<std::string>{"PATH=/bin", "GPU=0", "ALL=1"});
  CHECK(spec.process.user.additional_gids == std::vector<uint32_t>{44});
  REQUIRE(spec.linux_.devices.size() == 2);
  CHECK(spec.linux_.devices[0].path == "/dev/gpu0");
  CHECK(spec.linux_.devices[0].type == 'c');
  CHECK(spec.linux_.devices[0].major == 1);
  CHECK(spec.linux_.devices[0].minor == 3);
  CHECK(spec.linux_.devices[1].major == 240);
  CHECK(spec.linux_.devices[1].file_mode == 0660u);
  CHECK(spec.linux_.devices[1].uid == 5u);
  const auto& rules = spec.linux_.resources->devices;
  REQUIRE(rules.size() == 2);
  CHECK(rules[0].access == "rw");
  CHECK(rules[1].access == "rwm");
  CHECK(rules[1].major == 240);
  REQUIRE(spec.mounts.size() == 3);
  CHECK(spec.mounts[1].destination == "/usr/lib/gpu");
  CHECK(spec.mounts[1].type == "bind");
  oci::Spec privileged = Spec();
  REQUIRE(ApplyCdi(*edits, /*privileged=*/true, privileged).ok());
  CHECK(privileged.linux_.resources->devices.empty());
}

TEST_CASE("CDI: devices belong to the user of a process that is not root") {
  Directories directories;
  directories.Put("etc/vendor.json", kVendor);
  oci::Spec spec = Spec();
  spec.process.user.uid = 1000;
  spec.process.user.gid = 1001;
  REQUIRE(ApplyCdi(*Resolve({"vendor.com/gpu=0"}, directories.list), false, spec).ok());
  CHECK(spec.linux_.devices[0].uid == 1000u);
  CHECK(spec.linux_.devices[0].gid == 1001u);
  CHECK(spec.linux_.devices[1].uid == 5u);
}

TEST_CASE("CDI: a later directory wins; two files of one directory are ambiguous") {
  Directories directories;
  directories.Put("etc/vendor.json", kVendor);
  directories.Put("run/vendor.json", R"({"cdiVersion": "0.6.0", "kind": "vendor.com/gpu",
      "devices": [{"name": "0", "containerEdits": {"env": ["GPU=run"]}}]})");
  CHECK(Resolve({"vendor.com/gpu=0"}, directories.list)->env ==
        std::vector<std::string>{"GPU=run"});
  CHECK(Resolve({"vendor.com/gpu=1"}, directories.list)->env ==
        std::vector<std::string>{"ALL=1", "GPU=1"});
  directories.Put("etc/again.json", kVendor);
  CHECK(Resolve({"vendor.com/gpu=0"}, directories.list).ok());
  const auto ambiguous = Resolve({"vendor.com/gpu=1"}, directories.list);
  CHECK(absl::IsInvalidArgument(ambiguous.status()));
  CHECK(absl::StrContains(ambiguous.status().message(), "vendor.com/gpu=1"));
}

TEST_CASE("CDI: a file is read once, and again after each change") {
  Directories directories;
  CdiFiles files(directories.list, /*settled=*/absl::ZeroDuration());
  const auto value = [&] {
    const auto edits = files.Resolve({"v.com/x=0"});
    return edits.ok() ? edits->env.at(0) : std::string(edits.status().message());
  };
  directories.Put("etc/x.json", WithValue("one"));
  directories.Put("etc/other.yaml", "cdiVersion: 0.5.0\nkind: a.com/b\ndevices: []\n");
  for (int i = 0; i < 3; ++i) CHECK(value() == "X=one");
  CHECK(files.reads() == 2);
  directories.Put("etc/x.json", WithValue("two"));  // another file of this name
  for (int i = 0; i < 3; ++i) CHECK(value() == "X=two");
  CHECK(files.reads() == 3);
  REQUIRE(base::WriteExisting(directories.path + "/etc/x.json", WithValue("three")).ok());
  for (int i = 0; i < 3; ++i) CHECK(value() == "X=three");
  REQUIRE(base::WriteExisting(directories.path + "/etc/x.json", "{").ok());
  for (int i = 0; i < 3; ++i) CHECK(absl::StrContains(value(), "/etc/x.json: "));
  CHECK(files.reads() == 5);
  REQUIRE(unlink((directories.path + "/etc/x.json").c_str()) == 0);
  CHECK(value() == "CDI device \"v.com/x=0\": no such device on this node");
}

TEST_CASE("CDI: a file that was changed a moment ago is read each time") {
  Directories directories;
  CdiFiles files(directories.list, /*settled=*/absl::Hours(1));
  directories.Put("etc/x.json", WithValue("A"));
  for (const char* value : {"A", "B", "C", "D"}) {  // as long as each other
    REQUIRE(base::WriteExisting(directories.path + "/etc/x.json", WithValue(value)).ok());
    CHECK(files.Resolve({"v.com/x=0"})->env.at(0) == absl::StrCat("X=", value));
  }
  CHECK(files.reads() == 4);
}

TEST_CASE("CDI: devices are those of the directories that were set last") {
  Directories directories;
  directories.Put("etc/x.json", WithValue("etc"));
  directories.Put("run/x.json", WithValue("run"));
  CdiFiles files({directories.list[0]});
  CHECK(files.Resolve({"v.com/x=0"})->env.at(0) == "X=etc");
  files.SetDirectories({directories.list[1]});
  CHECK(files.Resolve({"v.com/x=0"})->env.at(0) == "X=run");
  files.SetDirectories({});
  CHECK(absl::IsInvalidArgument(files.Resolve({"v.com/x=0"}).status()));
}

TEST_CASE("CDI: what is not a file is not waited for") {
  Directories directories;
  REQUIRE(mkfifo((directories.path + "/etc/x.json").c_str(), 0600) == 0);
  const absl::Status status = Resolve({"v.com/x=0"}, directories.list).status();
  CHECK(absl::StrContains(status.message(), "x.json: is not a regular file"));
}

TEST_CASE("CDI: an unknown device names itself and what could not be read") {
  Directories directories;
  const auto none = Resolve({"vendor.com/gpu=0"}, directories.list);
  CHECK(absl::IsInvalidArgument(none.status()));
  CHECK(none.status().message() == "CDI device \"vendor.com/gpu=0\": no such device on this node");
  directories.Put("run/nvidia.yaml", "cdiVersion: 0.5.0\n");
  directories.Put("run/notes.txt", "cdiVersion: 0.5.0\n");
  directories.Put("run/broken.json", R"({"kind": "vendor.com/gpu"})");
  const auto skipped = Resolve({"vendor.com/gpu=0"}, directories.list);
  CHECK(absl::StrContains(skipped.status().message(), "nvidia.yaml: "));
  CHECK_FALSE(absl::StrContains(skipped.status().message(), "notes.txt"));
  CHECK(absl::StrContains(skipped.status().message(), "broken.json: "));
  CHECK(Resolve({"vendor.com/gpu=0"}, {}).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Resolve({}, directories.list).ok());
}

TEST_CASE("CDI: a device that needs an unsupported feature is refused") {
  Directories directories;
  directories.Put("etc/vendor.json", kVendor);
  const auto hooked = Resolve({"vendor.com/gpu=hooked"}, directories.list);
  CHECK(absl::IsFailedPrecondition(hooked.status()));
  CHECK(absl::StrContains(hooked.status().message(), "vendor.com/gpu=hooked"));
  CHECK(absl::StrContains(hooked.status().message(), "createContainer /usr/bin/vendor-hook"));
  CHECK(Resolve({"vendor.com/gpu=1"}, directories.list).ok());
}

TEST_CASE("CDI: a missing device node refuses the container") {
  Directories directories;
  directories.Put("etc/v.json", R"({"cdiVersion": "0.6.0", "kind": "v.com/x", "devices": [
      {"name": "gone", "containerEdits": {"deviceNodes": [{"path": "/dev/no-such-device"}]}},
      {"name": "file", "containerEdits": {"deviceNodes": [
          {"path": "/dev/x", "hostPath": "/etc/passwd"}]}}]})");
  for (const char* name : {"v.com/x=gone", "v.com/x=file"}) {
    oci::Spec spec = Spec();
    const absl::Status status = ApplyCdi(*Resolve({name}, directories.list), false, spec);
    INFO(status);
    CHECK(absl::IsFailedPrecondition(status));
  }
}

TEST_CASE("CDI: names come from the field and from annotations, each once") {
  v1::ContainerConfig config = Asking({"a.com/b=c", "a.com/b=d"});
  (*config.mutable_annotations())["cdi.k8s.io/plugin"] = "a.com/b=e,a.com/b=c";
  (*config.mutable_annotations())["other.k8s.io/plugin"] = "not a device";
  CHECK(*CdiNames(config) == std::vector<std::string>{"a.com/b=c", "a.com/b=d", "a.com/b=e"});
  for (const char* bad : {"", "a.com/b", "a.com=b", "=", "/=", "a.com/b=", "a.com/b=c d", "../b=c",
                          "a.com/b/c=d", "a.com/b=c,a.com/b=d"}) {
    INFO(bad);
    CHECK(absl::IsInvalidArgument(CdiNames(Asking({bad})).status()));
  }
}

// The form that nvidia-ctk writes, and what people write by hand.
constexpr char kYaml[] = R"(---
cdiVersion: 0.5.0
kind: vendor.com/gpu
containerEdits:
  env: &everywhere
  - ALL=void
devices:
- name: "0"
  containerEdits:
    env: *everywhere
    deviceNodes:
    - path: /dev/gpu0
      hostPath: /dev/null
      fileMode: 0660
      uid: 5
    - {path: /dev/gpu0ctl, type: c, major: 0xf0, minor: 7, fileMode: 0o600, permissions: rw}
    mounts:
    - hostPath: /usr/lib/gpu
      containerPath: /usr/lib/gpu
      options: [ro, nosuid]
    additionalGids: [44]
- name: 1  # not quoted
  containerEdits:
    env: ["GPU=1"]
    deviceNodes: ~
)";

TEST_CASE("CDI: a specification in YAML means what it would mean in JSON") {
  Directories directories;
  directories.Put("etc/vendor.yaml", kYaml);
  const auto edits = Resolve({"vendor.com/gpu=0", "vendor.com/gpu=1"}, directories.list);
  INFO(edits.status().message());
  REQUIRE(edits.ok());
  CHECK(edits->env == std::vector<std::string>{"ALL=void", "ALL=void", "GPU=1"});
  REQUIRE(edits->nodes.size() == 2);
  CHECK(edits->nodes[0].host_path == "/dev/null");
  CHECK(edits->nodes[0].file_mode == 0660u);
  CHECK(edits->nodes[0].uid == 5u);
  CHECK(edits->nodes[1].major == 240);
  CHECK(edits->nodes[1].minor == 7);
  CHECK(edits->nodes[1].file_mode == 0600u);
  CHECK(edits->nodes[1].permissions == "rw");
  REQUIRE(edits->mounts.size() == 1);
  CHECK(edits->mounts[0].options == std::vector<std::string>{"ro", "nosuid"});
  CHECK(edits->additional_gids == std::vector<uint32_t>{44});
}

TEST_CASE("CDI: YAML that is damaged, ambiguous or endless is refused") {
  const std::string begin = "cdiVersion: 0.5.0\nkind: a.com/b\n";
  const std::string device = begin + "devices:\n- name: x\n  containerEdits:\n    ";
  std::string endless = begin + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string alias = absl::StrCat("*a", i - 1);
    absl::StrAppend(&endless, "a", i, ": &a", i, " [");
    for (int k = 0; k < 10; ++k) absl::StrAppend(&endless, alias, k < 9 ? ", " : "]\n");
  }
  endless += "devices: []\n";
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("- a\n- b\n"), begin,
        begin + "kind: a.com/c\ndevices: []\n", endless, begin + "devices: &d [*d]\n",
        begin + "devices: " + std::string(5000, '['),
        device + "deviceNodes: [{path: /x, major: ten, minor: 1, type: c}]\n",
        device + "deviceNodes: [{path: /x, major: \"10\", minor: 1, type: c}]\n",
        device + "deviceNodes: [{path: /x, uid: 99999999999999999999}]\n",
        device + "<<: {env: [A=1]}\n", device + "env: [\"\\xff\"]\n"}) {
    INFO(text.substr(0, 200));
    const auto spec = DecodeCdiYaml(text);
    CHECK(absl::IsInvalidArgument(spec.status()));
  }
  CHECK(DecodeCdiYaml(device + "env: [A=1]\n").ok());
}

TEST_CASE("CDI: damaged specifications are refused") {
  for (const char* text :
       {"", "[]", "{}", R"({"cdiVersion": "0.6.0", "kind": "a.com/b"})",
        R"({"cdiVersion": "0.6.0", "kind": "a.com/b", "devices": [{"name": "x"}]})",
        R"({"cdiVersion": "0.6.0", "kind": "a.com/b", "devices": [
            {"name": "x", "containerEdits": {"env": ["NOVALUE"]}}]})",
        R"({"cdiVersion": "0.6.0", "kind": "a.com/b", "devices": [
            {"name": "x", "containerEdits": {"deviceNodes": [{"path": "/x", "type": "z"}]}}]})",
        R"({"cdiVersion": "0.6.0", "kind": "a.com/b", "devices": [
            {"name": "x", "containerEdits": {"deviceNodes": [
                {"path": "/x", "permissions": "a"}]}}]})",
        R"({"cdiVersion": "0.6.0", "kind": "a.com/b", "devices": [
            {"name": "x", "containerEdits": {}}, {"name": "x", "containerEdits": {}}]})"}) {
    INFO(text);
    CHECK(absl::IsInvalidArgument(DecodeCdiSpec(text).status()));
  }
}

}  // namespace crisp::spec
