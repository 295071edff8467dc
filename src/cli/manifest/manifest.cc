#include "cli/manifest/manifest.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/manifest/decode.h"
#include "cli/manifest/defaults.h"

namespace crisp::cli {
namespace {

// Keys become file names and names of variables.
bool IsDataKey(absl::string_view key) {
  constexpr size_t kMaxKey = 253;
  if (key.empty() || key.size() > kMaxKey || key == "." || absl::StartsWith(key, ".."))
    return false;
  for (const char c : key) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

void DecodeData(Fields& fields, absl::string_view name, bool is_base64,
                std::map<std::string, std::string>& out) {
  std::map<std::string, std::string> values;
  fields.TextMap(name, values);
  for (const auto& [key, value] : values) {
    std::string bytes = value;
    if (!IsDataKey(key))
      fields.Add(name, absl::StrCat("key \"", key, "\" must be letters, digits, '-', '_' and '.'"));
    // Line breaks are in it when it was written as a block.
    if (is_base64 && !absl::Base64Unescape(absl::StrReplaceAll(value, {{"\n", ""}}), &bytes))
      fields.Add(name, absl::StrCat("the value of ", key, " must be base64"));
    out[key] = bytes;
  }
}

void DecodeDataObject(Fields& fields, bool is_secret, Manifest& manifest) {
  DataObject object;
  bool immutable = false;
  fields.Object("metadata", [&](Fields& meta) { DecodeMeta(meta, object.metadata); });
  fields.Bool("immutable", immutable);  // nothing changes here anyway
  if (is_secret) {
    object.type = "Opaque";
    fields.Text("type", object.type);
    DecodeData(fields, "data", true, object.data);
    DecodeData(fields, "stringData", false, object.data);
  } else {
    DecodeData(fields, "data", false, object.data);
    DecodeData(fields, "binaryData", true, object.binary_data);
  }
  if (object.metadata.name.empty()) return fields.Add("metadata", "name is missing");
  const std::pair key(object.metadata.namespace_, object.metadata.name);
  DataObjects& objects = is_secret ? manifest.secrets : manifest.config_maps;
  if (!objects.emplace(key, object).second)
    fields.Add("metadata", absl::StrCat("name ", object.metadata.name, " is given twice"));
}

void DecodePod(Fields& fields, Manifest& manifest) {
  Pod pod;
  pod.place = fields.PlaceOf("metadata");
  fields.Object("metadata", [&](Fields& meta) { DecodeMeta(meta, pod.metadata); });
  if (fields.Require("spec"))
    fields.Object("spec", [&](Fields& spec) { DecodePodSpec(spec, pod.spec); });
  fields.Object("status", [](Fields&) {});  // kubectl create --dry-run writes an empty one
  if (pod.metadata.name.empty()) fields.Add("metadata", "name is missing");
  ApplyDefaults(pod.spec);
  manifest.pods.push_back(std::move(pod));
}

void CheckSelector(Fields& spec, const std::map<std::string, std::string>& selector,
                   const ObjectMeta& meta) {
  for (const auto& [key, value] : selector) {
    const auto label = meta.labels.find(key);
    if (label == meta.labels.end() || label->second != value)
      spec.Add("selector", absl::StrCat(key, "=", value, " is not among the template's labels"));
  }
}

// One pod of the template, under the name of what has it.
void DecodeWorkload(Fields& fields, const std::string& kind, Manifest& manifest) {
  Pod pod;
  ObjectMeta meta;
  pod.place = fields.PlaceOf("metadata");
  fields.Object("metadata", [&](Fields& object) { DecodeMeta(object, meta); });
  fields.Object("status", [](Fields&) {});
  fields.Require("spec");
  fields.Object("spec", [&](Fields& spec) {
    std::map<std::string, std::string> selector;
    int64_t one = 1;
    if (kind == "Deployment") spec.Int("replicas", one);  // however many, one runs here
    if (kind == "Job") {
      spec.Int("completions", one, 1, 1);
      spec.Int("parallelism", one, 1, 1);
    } else if (spec.Require("selector")) {
      spec.Object("selector", [&](Fields& object) { object.TextMap("matchLabels", selector); });
    }
    if (!spec.Require("template")) return;
    spec.Object("template", [&](Fields& object) {
      object.Object("metadata", [&](Fields& inner) { DecodeMeta(inner, pod.metadata); });
      if (object.Require("spec"))
        object.Object("spec", [&](Fields& inner) { DecodePodSpec(inner, pod.spec); });
    });
    CheckSelector(spec, selector, pod.metadata);
    const bool is_always = pod.spec.restart_policy == RestartPolicy::kAlways;
    if (kind == "Job" && is_always)
      spec.Add("template", "restartPolicy must be OnFailure or Never in a Job");
    if (kind != "Job" && !is_always)
      spec.Add("template", absl::StrCat("restartPolicy must be Always in a ", kind));
  });
  if (meta.name.empty()) fields.Add("metadata", "name is missing");
  pod.metadata.name = meta.name;
  pod.metadata.namespace_ = meta.namespace_;
  ApplyDefaults(pod.spec);
  manifest.pods.push_back(std::move(pod));
}

void DecodeDocument(Fields& fields, Manifest& manifest) {
  static const std::map<std::string, std::string> versions = {{"Pod", "v1"},
                                                              {"ConfigMap", "v1"},
                                                              {"Secret", "v1"},
                                                              {"Deployment", "apps/v1"},
                                                              {"DaemonSet", "apps/v1"},
                                                              {"Job", "batch/v1"}};
  std::string version, kind;
  if (fields.Require("apiVersion")) fields.Text("apiVersion", version);
  if (fields.Require("kind")) fields.Text("kind", kind);
  const auto known = versions.find(kind);
  if (known == versions.end()) {
    fields.Add("kind", absl::StrCat("\"", kind, "\" must be one of ConfigMap, DaemonSet, ",
                                    "Deployment, Job, Pod, Secret"));
    return fields.Skip();
  }
  if (version != known->second)
    fields.Add("apiVersion", absl::StrCat("must be ", known->second, " for ", kind));
  if (kind == "ConfigMap" || kind == "Secret")
    DecodeDataObject(fields, kind == "Secret", manifest);
  else if (kind == "Pod")
    DecodePod(fields, manifest);
  else
    DecodeWorkload(fields, kind, manifest);
}

enum class User { kVariable, kVolume };

// `ref` of a pod in namespace `space`, and the keys it needs.
void CheckRef(const DataObjects& objects, absl::string_view kind, const std::string& space,
              const KeyRef& ref, const std::vector<std::string>& keys, User user,
              Problems& problems) {
  if (ref.optional || ref.name.empty()) return;
  const auto found = objects.find({space, ref.name});
  if (found == objects.end()) {
    problems.Add(ref.place, absl::StrCat(kind, " \"", ref.name, "\" of namespace ", space,
                                         " is not in the given files"));
    return;
  }
  for (const std::string& key : keys) {
    const bool has_bytes = user == User::kVolume && found->second.binary_data.count(key) > 0;
    if (!key.empty() && found->second.data.count(key) == 0 && !has_bytes)
      problems.Add(ref.place, absl::StrCat(kind, " \"", ref.name, "\" has no key \"", key, "\""));
  }
}

std::vector<std::string> KeysOf(const ObjectFiles& files) {
  std::vector<std::string> keys;
  for (const KeyToPath& item : files.items) keys.push_back(item.key);
  return keys;
}

class ReferenceCheck {
 public:
  ReferenceCheck(const Manifest& manifest, Problems& problems)
      : manifest_(manifest), problems_(problems) {}

  void OfPod(const Pod& pod) {
    space_ = pod.metadata.namespace_;
    for (const auto* list : {&pod.spec.init_containers, &pod.spec.containers}) {
      for (const Container& container : *list) OfContainer(container);
    }
    for (const Volume& volume : pod.spec.volumes) {
      for (const FilesSource& source : volume.files) {
        if (source.config_map.has_value())
          Map(source.config_map->ref, KeysOf(*source.config_map), User::kVolume);
        if (source.secret.has_value()) Secret(source.secret->ref, KeysOf(*source.secret));
      }
    }
    for (const KeyRef& secret : pod.spec.image_pull_secrets) Secret(secret, {});
  }

 private:
  void Map(const KeyRef& ref, const std::vector<std::string>& keys, User user) {
    CheckRef(manifest_.config_maps, "ConfigMap", space_, ref, keys, user, problems_);
  }
  void Secret(const KeyRef& ref, const std::vector<std::string>& keys) {
    CheckRef(manifest_.secrets, "Secret", space_, ref, keys, User::kVariable, problems_);
  }
  void OfContainer(const Container& container) {
    for (const EnvFrom& from : container.env_from) {
      if (from.is_secret) {
        Secret(from.ref, {});
      } else {
        Map(from.ref, {}, User::kVariable);
      }
    }
    for (const EnvVar& variable : container.env) {
      if (variable.config_map_key_ref.has_value())
        Map(*variable.config_map_key_ref, {variable.config_map_key_ref->key}, User::kVariable);
      if (variable.secret_key_ref.has_value())
        Secret(*variable.secret_key_ref, {variable.secret_key_ref->key});
    }
  }

  const Manifest& manifest_;
  Problems& problems_;
  std::string space_;
};

}  // namespace

void DecodeManifest(const std::string& file, const std::string& text, Manifest& manifest,
                    Problems& problems) {
  const absl::StatusOr<std::vector<YamlValue>> documents = ParseYaml(text);
  if (!documents.ok()) {
    const std::pair<std::string, std::string> line_and_reason =
        absl::StrSplit(documents.status().message(), absl::MaxSplits(": ", 1));
    int line = 1;
    (void)absl::SimpleAtoi(line_and_reason.first, &line);
    problems.Add({.file = file, .line = line, .path = ""}, line_and_reason.second);
    return;
  }
  for (const YamlValue& document : *documents) {
    Fields fields(document, {.file = file, .line = document.line, .path = ""}, problems);
    if (document.kind == YamlValue::Kind::kMap) DecodeDocument(fields, manifest);
  }
}

void CheckReferences(const Manifest& manifest, Problems& problems) {
  std::set<std::pair<std::string, std::string>> names;
  ReferenceCheck check(manifest, problems);
  for (const Pod& pod : manifest.pods) {
    if (!names.emplace(pod.metadata.namespace_, pod.metadata.name).second)
      problems.Add(pod.place, absl::StrCat("a second pod is named ", pod.metadata.name));
    check.OfPod(pod);
  }
}

}  // namespace crisp::cli
