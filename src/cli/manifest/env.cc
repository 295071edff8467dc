// env and envFrom of a container, and the references to fields that volumes have, too.
#include <set>

#include "absl/strings/match.h"
#include "cli/manifest/decode.h"

namespace crisp::cli {
namespace {

// metadata.labels['key'] and metadata.annotations['key'].
bool IsKeyOfMap(absl::string_view path) {
  return (absl::StartsWith(path, "metadata.labels['") ||
          absl::StartsWith(path, "metadata.annotations['")) &&
         absl::EndsWith(path, "']") && path.find("''") == path.npos;
}

bool IsFieldPath(absl::string_view path, bool in_volume) {
  static const std::set<absl::string_view> both = {"metadata.name", "metadata.namespace",
                                                   "metadata.uid"};
  static const std::set<absl::string_view> env = {"spec.nodeName", "spec.serviceAccountName",
                                                  "status.hostIP", "status.hostIPs",
                                                  "status.podIP",  "status.podIPs"};
  static const std::set<absl::string_view> volume = {"metadata.labels", "metadata.annotations"};
  return both.count(path) > 0 || IsKeyOfMap(path) || (in_volume ? volume : env).count(path) > 0;
}

bool IsResource(absl::string_view resource) {
  const absl::string_view name = resource.substr(resource.find('.') + 1);
  return (absl::StartsWith(resource, "limits.") || absl::StartsWith(resource, "requests.")) &&
         (name == "cpu" || name == "memory" || name == "ephemeral-storage" ||
          absl::StartsWith(name, "hugepages-"));
}

void DecodeKeyRef(Fields& fields, std::optional<KeyRef>& out) {
  KeyRef& ref = out.emplace();
  ref.place = fields.PlaceOf("");
  if (fields.Require("name")) fields.Text("name", ref.name);
  if (fields.Require("key")) fields.Text("key", ref.key);
  fields.Bool("optional", ref.optional);
}

void DecodeValueFrom(Fields& fields, EnvVar& variable) {
  int sources = 0;
  for (const char* name : {"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"})
    sources += fields.Has(name) ? 1 : 0;
  if (sources != 1)
    fields.Add(
        "", "must have exactly one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef");
  fields.Object("fieldRef", [&](Fields& ref) { DecodeFieldRef(ref, false, variable.field_ref); });
  fields.Object("resourceFieldRef", [&](Fields& ref) {
    DecodeResourceFieldRef(ref, false, variable.resource_field_ref);
  });
  fields.Object("configMapKeyRef",
                [&](Fields& ref) { DecodeKeyRef(ref, variable.config_map_key_ref); });
  fields.Object("secretKeyRef", [&](Fields& ref) { DecodeKeyRef(ref, variable.secret_key_ref); });
}

void DecodeVariable(Fields& fields, EnvVar& variable) {
  if (fields.Require("name")) fields.Text("name", variable.name);
  if (variable.name.find('=') != std::string::npos) fields.Add("name", "must not contain '='");
  fields.Text("value", variable.value);
  fields.Object("valueFrom", [&](Fields& from) { DecodeValueFrom(from, variable); });
  if (!variable.value.empty() && fields.Has("valueFrom"))
    fields.Add("valueFrom", "must not be given together with value");
}

void DecodeEnvFrom(Fields& fields, EnvFrom& from) {
  fields.Text("prefix", from.prefix);
  if (fields.Has("configMapRef") == fields.Has("secretRef"))
    fields.Add("", "must have exactly one of configMapRef, secretRef");
  from.is_secret = fields.Has("secretRef");
  for (const char* name : {"configMapRef", "secretRef"}) {
    fields.Object(name, [&](Fields& ref) {
      from.ref.place = ref.PlaceOf("");
      if (ref.Require("name")) ref.Text("name", from.ref.name);
      ref.Bool("optional", from.ref.optional);
    });
  }
}

}  // namespace

void DecodeFieldRef(Fields& fields, bool in_volume, std::optional<std::string>& path) {
  std::string version = "v1";
  fields.Text("apiVersion", version);
  if (version != "v1") fields.Add("apiVersion", "must be v1");
  std::string& text = path.emplace();
  if (!fields.Require("fieldPath")) return;
  fields.Text("fieldPath", text);
  if (!IsFieldPath(text, in_volume))
    fields.Add("fieldPath", absl::StrCat("\"", text, "\" is not a field that can be read here"));
}

void DecodeResourceFieldRef(Fields& fields, bool in_volume, std::optional<ResourceFieldRef>& out) {
  ResourceFieldRef& ref = out.emplace();
  fields.Text("containerName", ref.container_name);
  if (in_volume && ref.container_name.empty()) fields.Add("containerName", "is missing");
  if (fields.Require("resource")) fields.Text("resource", ref.resource);
  if (!ref.resource.empty() && !IsResource(ref.resource))
    fields.Add("resource", absl::StrCat("\"", ref.resource,
                                        "\" must be limits. or requests. and cpu, memory, "
                                        "ephemeral-storage or hugepages-<size>"));
  fields.Amount("divisor", ref.divisor);
  // As the API server does: a divisor of zero means one.
  if (ref.divisor.IsZero()) ref.divisor = Quantity::Of(1);
}

void DecodeEnv(Fields& fields, Container& container) {
  fields.List("env", [&](Fields& item) { DecodeVariable(item, container.env.emplace_back()); });
  fields.List("envFrom",
              [&](Fields& item) { DecodeEnvFrom(item, container.env_from.emplace_back()); });
}

}  // namespace crisp::cli
