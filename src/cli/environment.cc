#include "cli/environment.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace crisp::cli {
namespace {

const std::string* Find(const Environment& environment, absl::string_view name) {
  for (const auto& [key, value] : environment) {
    if (key == name) return &value;
  }
  return nullptr;
}

// Puts an environment together; a ConfigMap may have very many keys.
class Builder {
 public:
  void Put(const std::string& name, const std::string& value) {
    const auto [known, is_new] = index_.emplace(name, made_.size());
    if (is_new) {
      made_.emplace_back(name, value);
    } else {
      made_[known->second].second = value;
    }
  }
  Environment& made() { return made_; }

 private:
  Environment made_;
  std::map<std::string, size_t> index_;
};

// Like Go's %q: one line, whatever is in it.
std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", absl::string_view(&c, 1));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppend(&out, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string AllOf(const std::map<std::string, std::string>& values) {
  std::vector<std::string> lines;
  for (const auto& [key, value] : values) lines.push_back(absl::StrCat(key, "=", Quoted(value)));
  return absl::StrJoin(lines, "\n");
}

// The value at metadata.labels['key'], or nothing.
std::string AtKey(const std::string& path, const std::map<std::string, std::string>& values) {
  const size_t from = path.find("['") + 2;
  const auto found = values.find(path.substr(from, path.size() - from - 2));
  return found == values.end() ? "" : found->second;
}

const DataObject* FindObject(const DataObjects& objects, const Pod& pod, const std::string& name) {
  const auto found = objects.find({pod.metadata.namespace_, name});
  return found == objects.end() ? nullptr : &found->second;
}

void AddFrom(const EnvFrom& from, const Pod& pod, const Manifest& objects, Builder& out) {
  const DataObject* object =
      FindObject(from.is_secret ? objects.secrets : objects.config_maps, pod, from.ref.name);
  if (object == nullptr) return;
  for (const auto& [key, value] : object->data) out.Put(absl::StrCat(from.prefix, key), value);
}

void AddKey(const std::string& name, const KeyRef& ref, const DataObjects& objects, const Pod& pod,
            Builder& out) {
  const DataObject* object = FindObject(objects, pod, ref.name);
  const auto* data = object == nullptr ? nullptr : &object->data;
  if (data != nullptr && data->count(ref.key) > 0) out.Put(name, data->at(ref.key));
}

// The machine's own, for a limit that a container does not have.
Quantity Capacity(absl::string_view resource, const Node& node) {
  if (resource == "limits.cpu") return Quantity::Of(node.cpus);
  if (resource == "limits.memory") return Quantity::Of(node.memory_bytes);
  if (resource == "limits.ephemeral-storage") return Quantity::Of(node.storage_bytes);
  return Quantity();
}

}  // namespace

absl::StatusOr<std::string> Expand(absl::string_view text, const Environment& environment,
                                   bool must_exist) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char next = text[i + 1];
    const size_t end = next == '(' ? text.find(')', i) : text.npos;
    if (end == text.npos) {  // "$$", or nothing that means a variable
      out += '$';
      if (next != '$') out += next;
      ++i;
      continue;
    }
    const absl::string_view name = text.substr(i + 2, end - i - 2);
    const std::string* value = Find(environment, name);
    if (value == nullptr && must_exist)
      return absl::InvalidArgumentError(absl::StrCat("variable ", name, " is not set"));
    absl::StrAppend(&out, value != nullptr ? *value : text.substr(i, end - i + 1));
    i = end;
  }
  return out;
}

std::string FieldValue(const std::string& path, const Pod& pod, const PodInstance& instance,
                       const Node& node) {
  const ObjectMeta& meta = pod.metadata;
  if (path == "metadata.name") return meta.name;
  if (path == "metadata.namespace") return meta.namespace_;
  if (path == "metadata.uid") return instance.uid;
  if (path == "metadata.labels") return AllOf(meta.labels);
  if (path == "metadata.annotations") return AllOf(meta.annotations);
  if (path == "spec.nodeName") return node.name;
  if (path == "spec.serviceAccountName") return "default";
  if (path == "status.hostIP") return node.ips.empty() ? "" : node.ips[0];
  if (path == "status.hostIPs") return absl::StrJoin(node.ips, ",");
  if (path == "status.podIP") return instance.ips.empty() ? "" : instance.ips[0];
  if (path == "status.podIPs") return absl::StrJoin(instance.ips, ",");
  return AtKey(path, absl::StartsWith(path, "metadata.labels") ? meta.labels : meta.annotations);
}

std::string ResourceValue(const ResourceFieldRef& ref, const Container& container,
                          const Node& node) {
  const bool is_limit = absl::StartsWith(ref.resource, "limits.");
  const auto& amounts = is_limit ? container.resources.limits : container.resources.requests;
  const auto found = amounts.find(ref.resource.substr(ref.resource.find('.') + 1));
  const Quantity amount = found != amounts.end() ? found->second : Capacity(ref.resource, node);
  return absl::StrCat(amount.Per(ref.divisor));
}

Environment EnvironmentOf(const Pod& pod, const Container& container, const Manifest& objects,
                          const PodInstance& instance, const Node& node) {
  Builder out;
  for (const EnvFrom& from : container.env_from) AddFrom(from, pod, objects, out);
  for (const EnvVar& variable : container.env) {
    const std::string& name = variable.name;
    if (variable.field_ref.has_value()) {
      out.Put(name, FieldValue(*variable.field_ref, pod, instance, node));
    } else if (variable.resource_field_ref.has_value()) {
      const ResourceFieldRef& ref = *variable.resource_field_ref;
      const Container* of = &container;
      for (const auto* list : {&pod.spec.init_containers, &pod.spec.containers}) {
        for (const Container& other : *list) of = other.name == ref.container_name ? &other : of;
      }
      out.Put(name, ResourceValue(ref, *of, node));
    } else if (variable.config_map_key_ref.has_value()) {
      AddKey(name, *variable.config_map_key_ref, objects.config_maps, pod, out);
    } else if (variable.secret_key_ref.has_value()) {
      AddKey(name, *variable.secret_key_ref, objects.secrets, pod, out);
    } else {
      out.Put(name, Expand(variable.value, out.made(), false).value());
    }
  }
  return std::move(out.made());
}

}  // namespace crisp::cli
